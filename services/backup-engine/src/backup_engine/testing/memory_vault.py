"""Fakes of the vault's ports for unit tests, as strict as the real ones: store, KMS, catalogue.

Also builders: a vault of fakes, disks in memory, a disk plan.
"""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backup_engine.ports.vault import (
    MAX_BATCH,
    MAX_BLOB_BYTES,
    MAX_IDS,
    Blob,
    BlobInfo,
    BlobMissing,
    BlobStore,
    BlobTooLarge,
    Buffer,
    KeyRefused,
    KeyUnknown,
    PutOutcome,
    StoredObject,
    StoreFull,
)
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.manifest import ControllerRecord, PointManifest
from backup_engine.vault.reader import PointReader
from backup_engine.vault.sources import RandomSource, StreamSource
from backup_engine.vault.writer import DiskPlan, PointWriter


class MemoryStore:
    """A store in a dictionary. ``room_bytes`` makes it full; ``blobs`` may be damaged by a test."""

    def __init__(self, *, room_bytes: int | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.room_bytes = room_bytes
        self.puts = 0
        self.before_put: Callable[[], None] = lambda: None
        self._modified: dict[str, datetime] = {}

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        if len(blobs) > MAX_BATCH:
            raise ValueError(f"{len(blobs)} blobs are more than one batch")
        self.before_put()
        return [self._put(blob) for blob in blobs]

    async def get(self, name: str) -> bytes:
        if len(found := self._found(name)) > MAX_BLOB_BYTES:
            raise BlobTooLarge(name=name)
        return found

    async def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self._found(name)[offset : offset + length]

    async def delete(self, names: Sequence[str]) -> None:
        for name in names:
            self.blobs.pop(name, None)

    async def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        for name in [name for name in self.blobs if name.startswith(prefix)]:
            if name in self.blobs:
                yield BlobInfo(name, len(self.blobs[name]), self._modified.get(name, datetime.now(UTC)))

    async def close(self) -> None:
        """Nothing to release."""

    def age(self, by: timedelta) -> None:
        """Let all that is there have been written so much earlier."""
        self._modified = {name: written - by for name, written in self._modified.items()}

    def _put(self, blob: Blob) -> PutOutcome:
        if blob.name in self.blobs:
            return PutOutcome.EXISTS
        if self.room_bytes is not None:
            used = sum(len(known) for known in self.blobs.values())
            if used + blob.size_bytes > self.room_bytes:
                raise StoreFull
        self.puts += 1
        self.blobs[blob.name] = b"".join(blob.parts)
        self._modified[blob.name] = datetime.now(UTC)
        return PutOutcome.CREATED

    def _found(self, name: str) -> bytes:
        if name not in self.blobs:
            raise BlobMissing(name=name)
        return self.blobs[name]


class MemoryKms:
    """A KMS whose keys last as long as the object."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}

    async def create_key(self, owner: str) -> str:
        reference = f"memory:{owner}:{secrets.token_hex(4)}"
        self.keys[reference] = AESGCM.generate_key(256)
        return reference

    async def wrap(self, key_ref: str, secret: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self._key(key_ref)).encrypt(nonce, secret, context)

    async def unwrap(self, key_ref: str, wrapped: bytes, context: bytes) -> bytes:
        try:
            return AESGCM(self._key(key_ref)).decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError) as error:
            raise KeyRefused(key_ref=key_ref) from error

    async def destroy_key(self, key_ref: str) -> None:
        self.keys.pop(key_ref, None)

    async def destroy_owner(self, owner: str) -> None:
        for reference in [known for known in self.keys if known.startswith(f"memory:{owner}:")]:
            del self.keys[reference]

    def _key(self, key_ref: str) -> bytes:
        if key_ref not in self.keys:
            raise KeyUnknown(key_ref=key_ref)
        return self.keys[key_ref]


class RowState(Enum):
    LIVE = "live"
    DELETING = "deleting"
    DELETED = "deleted"


@dataclass
class Row:
    """One row of the catalogue's table."""

    object: StoredObject
    state: RowState
    used_epoch: int


class MemoryCatalogue:
    """The catalogue of one vault with its epoch; its collection is in ``testing_collection``."""

    def __init__(self) -> None:
        self.rows: dict[tuple[bytes, int], Row] = {}
        self.gc_epoch = 1
        self.asked = 0

    async def known_chunks(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        self.asked += 1
        _limit(ids)
        known: dict[bytes, int] = {}
        wanted = set(ids)
        for (object_id, generation), row in self.rows.items():
            if object_id in wanted and row.state is RowState.LIVE:
                row.used_epoch = self.gc_epoch
                known[object_id] = max(generation, known.get(object_id, 0))
        return known

    async def stored_chunks(self, objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        _limit(objects)
        live = set()
        for item in objects:
            row = self.rows.setdefault((item.id, item.generation), Row(item, RowState.LIVE, self.gc_epoch))
            if row.state is RowState.LIVE:
                row.used_epoch = self.gc_epoch
                live.add((item.id, item.generation))
        return live

    async def live_generations(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        _limit(ids)
        known: dict[bytes, int] = {}
        wanted = set(ids)
        for (object_id, generation), row in self.rows.items():
            if object_id in wanted and row.state is RowState.LIVE:
                known[object_id] = max(generation, known.get(object_id, 0))
        return known


def _limit(ids: Sequence[object]) -> None:
    if len(ids) > MAX_IDS:
        raise ValueError(f"{len(ids)} ids are more than one call may carry")


class BytesDisk:
    """A disk in memory that can be read anywhere; ``reads`` records what was asked for."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.reads: list[tuple[int, int]] = []

    async def pread(self, offset: int, length: int) -> Buffer:
        self.reads.append((offset, length))
        return memoryview(self.content)[offset : offset + length]


class PieceStream:
    """A disk that is streamed in the given pieces."""

    def __init__(self, pieces: Sequence[tuple[int, Buffer]]) -> None:
        self.pieces = pieces

    async def stream(self) -> AsyncIterator[tuple[int, Buffer]]:
        for piece in self.pieces:
            yield piece


@dataclass
class TestVault:
    """A vault of fakes with what most tests need around it."""

    __test__ = False

    store: BlobStore
    catalogue: MemoryCatalogue
    keyring: Keyring

    @classmethod
    def create(cls, store: BlobStore | None = None) -> "TestVault":
        return cls(store or MemoryStore(), MemoryCatalogue(), Keyring.create(uuid4()))

    def writer(self, **options: Any) -> PointWriter:
        return PointWriter(self.store, self.catalogue, self.keyring, **options)

    def reader(self, manifest: PointManifest, **options: Any) -> PointReader:
        return PointReader(self.store, self.keyring, manifest, **options)

    async def back_up(
        self, *plans: DiskPlan, point_id: UUID | None = None, token: int = 1, **options: Any
    ) -> PointManifest:
        """Write a point of these disks and publish it."""
        async with self.writer(**options) as writer:
            disks = [await writer.write_disk(plan) for plan in plans]
            prepared = await writer.prepare(
                point_id=point_id or uuid4(),
                token=token,
                created_at=datetime.now(UTC),
                parent=None,
                machine={"name": "vm"},
                disks=disks,
            )
            await writer.publish(prepared)
            return prepared.manifest

    async def restore(self, manifest: PointManifest, *, key: int = 2000, **options: Any) -> bytes:
        """Return a disk's whole content as its point holds it."""
        async with self.reader(manifest, **options) as reader:
            content = bytearray(reader.disk(key).capacity_bytes)
            async for offset, piece in reader.stream(key):
                content[offset : offset + len(piece)] = piece
            return bytes(content)


def disk_plan(source: RandomSource | StreamSource, capacity_bytes: int, **fields: Any) -> DiskPlan:
    """Return a full read in chunks of 1 MiB; fields override."""
    values: dict[str, Any] = {
        "key": 2000,
        "controller": ControllerRecord(key=1000, type="pvscsi", bus=0),
        "unit": 0,
        "uuid": "6000C290-0000-0000-0000-000000000000",
        "label": "Hard disk 1",
        "capacity_bytes": capacity_bytes,
        "source": source,
        "transport": "datastore",
        "transport_reason": "powered_off",
        "mode": "full",
        "full_reason": "first",
        "change_id": None,
        "chunk_size": 1 << 20,
    }
    return DiskPlan(**{**values, **fields})
