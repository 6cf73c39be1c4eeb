"""``python -m backup_engine vault list | show | verify | restore``: from the store and a key alone, no database.

Reads no settings: the folders come as arguments, a recovery key by the environment variable RECOVERY_KEY, because
arguments are visible to everybody on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from common.errors import DomainError

from backup_engine.adapters.file_kms import FileKms
from backup_engine.adapters.folder_store import FolderStore
from backup_engine.ports.vault import BlobStore
from backup_engine.vault.keyslots import parse_recovery
from backup_engine.vault.manifest import PointManifest
from backup_engine.vault.rescue import BrokenPoint, RescueVault, find_vaults


def run(argv: Sequence[str]) -> int:
    """Execute one command; returns the exit code: 0 well, 1 refused or damaged."""
    arguments = _parser().parse_args(argv)
    try:
        return asyncio.run(_act(arguments))
    except DomainError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backup_engine vault")
    parser.add_argument("--store", type=Path, required=True, help="folder of the vaults")
    parser.add_argument("--kms", type=Path, help="folder of the file KMS; without it, RECOVERY_KEY of the environment")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="vaults, or with a key at hand their restore points").add_argument(
        "vault", type=UUID, nargs="?"
    )
    for name, text in (
        ("show", "one restore point: its machine and disks"),
        ("verify", "read and open every object of a restore point"),
        ("restore", "write the disks of a restore point as raw files"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("vault", type=UUID)
        command.add_argument("point", type=UUID)
        command.add_argument("--token", type=int, help="of an attempt; the highest that opens otherwise")
        if name == "restore":
            command.add_argument("folder", type=Path)
    return parser


async def _act(arguments: argparse.Namespace) -> int:
    store = await FolderStore.open(arguments.store, sweep=False)
    try:
        if arguments.command == "list" and arguments.vault is None:
            _say([str(vault_id) for vault_id in await find_vaults(store)])
            return 0
        vault = await _open(store, arguments)
        if arguments.command == "list":
            _say([_line(point) async for point in vault.points()])
            return 0
        return await _one(vault, arguments)
    finally:
        await store.close()


async def _open(store: BlobStore, arguments: argparse.Namespace) -> RescueVault:
    if arguments.kms is not None:
        return await RescueVault.open(store, arguments.vault, kms=FileKms(arguments.kms))
    recovery = parse_recovery(os.environ.get("RECOVERY_KEY", ""))
    return await RescueVault.open(store, arguments.vault, recovery=recovery)


async def _one(vault: RescueVault, arguments: argparse.Namespace) -> int:
    if arguments.command == "show":
        async with await vault.reader(arguments.point, arguments.token) as reader:
            manifest = reader.manifest
            _say({**_line(manifest), "machine": manifest.machine, "statistics": manifest.statistics})
        return 0
    if arguments.command == "verify":
        damages = await vault.verify(arguments.point, arguments.token)
        _say([{"disk": d.disk_key, "offset": d.offset, "length": d.length, "reason": d.reason} for d in damages])
        return 1 if damages else 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    files = await vault.restore(arguments.point, arguments.folder, token=arguments.token)
    _say([str(path) for path in files])
    return 0


def _line(point: PointManifest | BrokenPoint) -> dict[str, Any]:
    if isinstance(point, BrokenPoint):
        return {"point": str(point.ref.point_id), "token": point.ref.token, "broken": point.reason}
    disks = [{"key": d.key, "label": d.label, "capacity_bytes": d.capacity_bytes} for d in point.disks]
    return {
        "point": str(point.point_id),
        "token": point.token,
        "machine": point.machine.get("name"),
        "created_at": point.created_at.isoformat(),
        "disks": disks,
    }


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")
