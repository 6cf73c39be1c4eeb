"""Make disks of a point available as raw bytes: each is read whole and hashed; files are written when wanted."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

from common.crash_points import reach

from backup_engine.errors import ExportFolderMissing
from backup_engine.ports.control_plane import RestoreDisksOrder
from backup_engine.ports.vault import Buffer
from backup_engine.runner.attempt import Attempt
from backup_engine.vault.manifest import load_manifest
from backup_engine.vault.reader import PointReader

_ZEROS = bytes(4 * 1024 * 1024)


async def restore_disks(attempt: Attempt) -> None:
    """Execute a RestoreDisksOrder; the result names each disk with its SHA-256."""
    order = attempt.claim.order
    assert isinstance(order, RestoreDisksOrder)
    keyring = await attempt.keyring()
    manifest = await load_manifest(attempt.store, keyring, order.point.point_id, order.point.token)
    total = sum(disk.capacity_bytes for disk in manifest.disks if disk.key in order.disk_keys)
    attempt.tell(phase="reading", mode="restore", bytes_total=total)
    async with PointReader(attempt.store, keyring, manifest, generations=attempt.catalogue) as reader:
        disks = [await _disk(attempt, reader, key, export=order.export) for key in order.disk_keys]
    reach("backup-engine.restore.disks_read")
    await attempt.tools.control.prepare(attempt.grant, None)
    reach("backup-engine.restore.export_prepared")
    for disk in disks:
        if disk["file"] is not None:
            await asyncio.to_thread(os.replace, f"{disk['file']}.part", disk["file"])
    reach("backup-engine.restore.files_named")
    await attempt.restored({"disks": disks})


async def _disk(attempt: Attempt, reader: PointReader, key: int, *, export: bool) -> dict[str, Any]:
    record = reader.disk(key)
    path = _path(attempt, key) if export else None
    with Sink(None if path is None else Path(f"{path}.part"), record.capacity_bytes) as sink:
        before = attempt.progress.bytes_read + attempt.progress.bytes_skipped
        read = attempt.progress.bytes_read
        async with aclosing(reader.stream(key)) as pieces:
            async for offset, data in pieces:
                await asyncio.to_thread(sink.put, offset, data)
                read += len(data)
                attempt.tell(bytes_read=read, bytes_skipped=before + sink.position - read)
        digest = await asyncio.to_thread(sink.finish)
    attempt.tell(bytes_skipped=before + record.capacity_bytes - read)
    return {
        "key": key,
        "label": record.label,
        "capacity_bytes": record.capacity_bytes,
        "sha256": digest,
        "file": None if path is None else str(path),
    }


def _path(attempt: Attempt, key: int) -> Path:
    folder = attempt.tools.export_folder
    if folder is None:
        raise ExportFolderMissing
    # Below the organization's id: with the organization, all that is there is erased (workflows/erase_vault.py).
    own = folder / str(attempt.grant.tenant_id) / str(attempt.grant.task_id)
    own.mkdir(parents=True, exist_ok=True, mode=0o700)
    return own / f"disk-{key}.raw"


@dataclass(slots=True)
class Sink:
    """Hashes a disk from its start, holes as zeros, and writes it sparsely to a file if there is one."""

    path: Path | None
    capacity_bytes: int
    position: int = 0
    _hash: Any = field(default_factory=hashlib.sha256)
    _file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self.path is not None:
            self._file = self.path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, offset: int, data: Buffer) -> None:
        self._zeros_to(offset)
        self._hash.update(data)
        if self._file is not None:
            self._file.seek(offset)
            self._file.write(data)
        self.position = offset + len(data)

    def finish(self) -> str:
        """Return the digest; the file is durable."""
        self._zeros_to(self.capacity_bytes)
        if self._file is not None:
            self._file.truncate(self.capacity_bytes)
            self._file.flush()
            os.fsync(self._file.fileno())
        digest: str = self._hash.hexdigest()
        return digest

    def _zeros_to(self, offset: int) -> None:
        while self.position < offset:
            length = min(len(_ZEROS), offset - self.position)
            self._hash.update(memoryview(_ZEROS)[:length])
            self.position += length
