"""``python -m backup_engine vault collect --vault …``: what an operator does to a vault with the service's database.

Commands that need neither database nor settings are in `rescue_command.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from uuid import UUID

from common.cli import Extra
from common.errors import DomainError
from common.messaging.in_process import InProcessBroker

from backup_engine.bootstrap import Built, assemble
from backup_engine.domain.vault import VaultState
from backup_engine.persistence.queue import made_vault
from backup_engine.settings import Settings


def _arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="act", required=True, metavar="COMMAND")
    collect = commands.add_parser("collect", help="collect a vault's garbage now, to the end of a cycle")
    collect.add_argument("--vault", type=UUID, required=True)


async def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    built = await assemble(settings, InProcessBroker())
    try:
        return await collect_now(built, arguments.vault)
    except DomainError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1
    finally:
        await built.close()


async def collect_now(built: Built, vault_id: UUID) -> int:
    """Go on with the vault's cycle, or do a whole one; 1 when another process has it, or the database is behind.

    Raises:
        CatalogueBehind: and whatever else ends a cycle early.
    """
    async with built.store.for_system("collector") as uow:
        found = await made_vault(uow, vault_id)
    if found is None:
        sys.stderr.write(f"the database knows no vault {vault_id}\n")
        return 1
    vault, state = found
    if state is VaultState.READ_ONLY:
        sys.stderr.write(f"vault {vault_id} is read-only: its database is older than its store\n")
        return 1
    if not await built.collector().collect(vault.tenant_id, vault_id):
        sys.stderr.write(f"another process is collecting the vault {vault_id}\n")
        return 1
    async with built.store.for_tenant(vault.tenant_id) as uow:
        objects, size_bytes, seconds = await uow.collections.totals(vault_id)
    sys.stdout.write(json.dumps({"objects": objects, "bytes": size_bytes, "seconds": round(seconds, 1)}) + "\n")
    return 0


COMMANDS = {"vault": Extra("collect: garbage of a vault; other commands work without a database", _run, _arguments)}


def wanted(words: Sequence[str]) -> bool:
    """Whether these words of ``vault`` are a command of this module."""
    return words[:1] == ["collect"]
