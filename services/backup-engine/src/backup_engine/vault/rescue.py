"""Rescue: list, show, verify and restore from the store and a key alone, without a database (§13).

What a command line calls. A point is offered only after its manifest opened and every object that it refers to
was found; of one point, the attempt with the highest token that passes counts.
"""

import asyncio
import os
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

import numpy as np
import numpy.typing as npt

from backup_engine.ports.vault import BlobMissing, BlobStore, BlobTooLarge, Buffer, Kms, ObjectType
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import ChunkDamaged, ObjectDamaged
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.lifecycle import find_vaults, open_keyring, open_with_recovery
from backup_engine.vault.manifest import PointManifest, PointRef, list_points, load_manifest, open_manifest
from backup_engine.vault.names import Names
from backup_engine.vault.reader import Damage, PointReader

__all__ = ["BrokenPoint", "RescueVault", "ScannedVault", "find_vaults"]


@dataclass(frozen=True, slots=True)
class BrokenPoint:
    """A point that cannot be restored in whole, and the first reason that was found."""

    ref: PointRef
    reason: str


class ScannedVault:
    """What one listing of the vault found: which objects exist, and their generations where not 0, which is rare.

    An object is remembered by the first 8 bytes of its id: 120 MB for a full disk of 62 TiB, and a confusion of
    two objects is as unlikely as two equal numbers among 2⁶⁴.
    """

    def __init__(self, ids: npt.NDArray[np.uint64], higher: dict[bytes, int]) -> None:
        self._ids = ids
        self._higher = higher

    @classmethod
    async def scan(cls, store: BlobStore, vault_id: UUID) -> Self:
        """List all chunks and map nodes once."""
        names, ids, higher = Names(vault_id), array("Q"), dict[bytes, int]()
        for kind in (ObjectType.CHUNK, ObjectType.PAGE):
            async for info in store.scan(names.folder(kind)):
                parsed = names.parse_object(kind, info.name)
                if parsed is not None:
                    ids.append(_short(parsed[0]))
                    if parsed[1] > higher.get(parsed[0], 0):
                        higher[parsed[0]] = parsed[1]
        return cls(np.sort(np.array(ids, dtype=np.uint64)), higher)

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the highest generation that was listed, 0 for all others."""
        return {object_id: self._higher.get(object_id, 0) for object_id in ids}

    def holds(self, object_id: bytes) -> bool:
        """Tell whether an object of this id was listed, in whatever generation."""
        at = int(np.searchsorted(self._ids, np.uint64(_short(object_id))))
        return at < len(self._ids) and int(self._ids[at]) == _short(object_id)


def _short(object_id: bytes) -> int:
    return int.from_bytes(object_id[:8], "big")


class RescueVault:
    """A vault of which only the store and a key are left. Made by ``open``."""

    def __init__(self, store: BlobStore, keyring: Keyring, scanned: ScannedVault) -> None:
        self._store = store
        self._keyring = keyring
        self._codec = Codec(keyring)
        self._scanned = scanned

    @classmethod
    async def open(cls, store: BlobStore, vault_id: UUID, *, kms: Kms | None = None, recovery: bytes = b"") -> Self:
        """Open by the organization's KMS, or else by the recovery key.

        Raises:
            VaultMissing: the store has no keys of this vault.
            KeyringUnreadable: the key does not open them.
        """
        if kms is not None:
            keyring = await open_keyring(store, kms, vault_id)
        else:
            keyring = await open_with_recovery(store, recovery, vault_id)
        return cls(store, keyring, await ScannedVault.scan(store, vault_id))

    async def points(self) -> AsyncIterator[PointManifest | BrokenPoint]:
        """Yield each point once, by the highest token that opens and whose objects all exist, else as broken.

        Reads the maps of every point; ``verify`` opens the chunks too.
        """
        attempts: dict[UUID, list[PointRef]] = {}
        for ref in await list_points(self._store, self._keyring.vault_id):
            attempts.setdefault(ref.point_id, []).insert(0, ref)
        for refs in attempts.values():
            yield await self._best(refs)

    async def show(self, point_id: UUID, token: int | None = None) -> PointManifest:
        """Return a point all of whose objects exist. Raises as ``load_manifest``, or ChunkDamaged."""
        async with await self.reader(point_id, token) as reader:
            await reader.check_existence(self._scanned.holds)
            return reader.manifest

    async def reader(self, point_id: UUID, token: int | None = None) -> PointReader:
        """Return a reader of a point, without ``token`` of its highest that opens. Raises as ``load_manifest``."""
        manifest = await self._manifest(point_id, token)
        return PointReader(self._store, self._keyring, manifest, generations=self._scanned)

    async def verify(self, point_id: UUID, token: int | None = None) -> list[Damage]:
        """Read and open every object of a point; an empty answer means that it restores."""
        async with await self.reader(point_id, token) as reader:
            return [damage async for damage in reader.verify()]

    async def restore(
        self, point_id: UUID, folder: Path, *, token: int | None = None, written: Callable[[int], None] = lambda _: None
    ) -> list[Path]:
        """Write each disk as a sparse raw file ``<point_id>-<key>.raw`` into a folder, and return the files.

        A file is complete and durable when its name has no ``.part`` any more. Raises ChunkDamaged.
        """
        async with await self.reader(point_id, token) as reader:
            return [
                await _restore_disk(reader, disk.key, folder / f"{point_id}-{disk.key}.raw", written)
                for disk in reader.manifest.disks
            ]

    async def _best(self, refs: Sequence[PointRef]) -> PointManifest | BrokenPoint:
        reason = ""
        for ref in refs:
            try:
                return await self.show(ref.point_id, ref.token)
            except (ObjectDamaged, ChunkDamaged, BlobMissing, BlobTooLarge) as error:
                reason = reason or str(error)
        return BrokenPoint(refs[0], reason)

    async def _manifest(self, point_id: UUID, token: int | None) -> PointManifest:
        if token is None:
            return await load_manifest(self._store, self._keyring, point_id)
        frame = await self._store.get(self._codec.names.point(point_id, token))
        return open_manifest(self._codec, PointRef(point_id, token), frame)


async def _restore_disk(reader: PointReader, key: int, path: Path, written: Callable[[int], None]) -> Path:
    part = path.with_suffix(".raw.part")
    handle = await asyncio.to_thread(os.open, part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(handle, reader.disk(key).capacity_bytes)
        async for offset, piece in reader.stream(key):
            await asyncio.to_thread(_write_all, handle, piece, offset)
            written(len(piece))
        await asyncio.to_thread(os.fsync, handle)
    finally:
        os.close(handle)
    await asyncio.to_thread(part.replace, path)
    return path


def _write_all(handle: int, piece: Buffer, offset: int) -> None:
    view = memoryview(piece)
    while view:
        done = os.pwrite(handle, view, offset)
        view, offset = view[done:], offset + done
