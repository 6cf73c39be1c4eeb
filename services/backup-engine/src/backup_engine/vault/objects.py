"""Objects in the store under their ids: putting them so that they may be referenced, and getting them back.

Here is what «already exists» and «damaged» mean (§11, §13). Batching and order are in ``pipeline``.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from backup_engine.ports.vault import (
    Blob,
    BlobMissing,
    BlobStore,
    BlobTooLarge,
    ChunkCatalogue,
    Generations,
    ObjectType,
    PutOutcome,
    StoredObject,
)
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import ChunkDamaged, ObjectDamaged
from backup_engine.vault.frame import Frame

MAX_GENERATIONS = 64
"""More failed attempts than this mean that the store itself is broken."""

_Answer = TypeVar("_Answer")
_UNREADABLE = (ObjectDamaged, BlobMissing, BlobTooLarge)


async def compute(executor: Executor, act: Callable[[], _Answer]) -> _Answer:
    """Run a computation that releases the GIL in a thread."""
    return await asyncio.get_running_loop().run_in_executor(executor, act)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An object that is ready to be put."""

    type: ObjectType
    id: bytes
    generation: int
    plain_bytes: int
    frame: Frame

    @property
    def stored_bytes(self) -> int:
        return sum(len(part) for part in self.frame)

    @property
    def row(self) -> StoredObject:
        return StoredObject(self.id, self.generation, self.type, self.plain_bytes, self.stored_bytes)


class ObjectWriter:
    """Puts sealed objects until each may be referenced."""

    def __init__(self, store: BlobStore, catalogue: ChunkCatalogue, codec: Codec, executor: Executor) -> None:
        self._store = store
        self._catalogue = catalogue
        self._codec = codec
        self._executor = executor

    async def put(self, batch: Sequence[Sealed]) -> None:
        """Return when each object is durable and live in the catalogue, in whichever generation.

        May be repeated: what an earlier call stored is found. Errors of store and catalogue pass through.
        """
        pending = list(batch)
        while pending:
            blobs = [
                Blob(self._codec.names.object(item.type, item.id, item.generation), item.frame) for item in pending
            ]
            outcomes = await self._store.put_batch(blobs)
            created = [item for item, made in zip(pending, outcomes, strict=True) if made is PutOutcome.CREATED]
            existing = [item for item, made in zip(pending, outcomes, strict=True) if made is PutOutcome.EXISTS]
            adopted, refused = await self._judge(existing)
            rows = [item.row for item in created] + adopted
            live = await self._catalogue.stored_chunks(rows) if rows else set()
            unregistered = {(row.id, row.generation) for row in rows} - live
            refused += [item for item in pending if (item.id, item.generation) in unregistered]
            pending = [await compute(self._executor, lambda item=item: self._next(item)) for item in refused]  # type: ignore[misc]

    async def _judge(self, existing: Sequence[Sealed]) -> tuple[list[StoredObject], list[Sealed]]:
        """Part objects whose names were taken: rows of the good ones that have none; those that need another name."""
        if not existing:
            return [], []
        live = await self._catalogue.known_chunks([item.id for item in existing])
        adopted: list[StoredObject] = []
        refused: list[Sealed] = []
        for item in existing:
            if live.get(item.id, -1) >= item.generation:
                continue
            stored_bytes = await self._opens(item)
            if stored_bytes is None:
                refused.append(item)
            else:
                adopted.append(replace(item.row, stored_bytes=stored_bytes))
        return adopted, refused

    async def _opens(self, item: Sealed) -> int | None:
        """Return the size of what stands under this name if it is this object, else None."""
        name = self._codec.names.object(item.type, item.id, item.generation)
        try:
            frame = await self._store.get(name)
            await compute(self._executor, lambda: self._codec.open(item.type, item.id, item.generation, frame))
        except _UNREADABLE:
            return None
        return len(frame)

    def _next(self, item: Sealed) -> Sealed:
        if item.generation + 1 >= MAX_GENERATIONS:
            name = self._codec.names.object(item.type, item.id, item.generation)
            raise ChunkDamaged(name=name, reason=f"{MAX_GENERATIONS} generations were refused")
        plain = self._codec.open(item.type, item.id, item.generation, b"".join(item.frame))
        frame = self._codec.seal(item.type, item.id, item.generation + 1, plain)
        return replace(item, generation=item.generation + 1, frame=frame)


class Fetch(Protocol):
    """Returns an object's plaintext; raises ChunkDamaged if no generation opens."""

    async def __call__(self, kind: ObjectType, object_id: bytes, generation: int | None = None) -> bytes: ...


class ObjectReader:
    """Gets objects, falling through damaged generations to the next that opens."""

    def __init__(self, store: BlobStore, codec: Codec, executor: Executor, generations: Generations | None) -> None:
        self._store = store
        self._codec = codec
        self._executor = executor
        self._generations = generations

    async def hints(self, ids: Sequence[bytes]) -> dict[bytes, int]:
        """Return the catalogue's generations; empty without a catalogue."""
        return await self._generations.live_generations(ids) if self._generations else {}

    async def fetch(self, kind: ObjectType, object_id: bytes, generation: int | None = None) -> bytes:
        """Return the plaintext, trying ``generation`` (else the catalogue's) first, then the others from the highest.

        Raises:
            ChunkDamaged: no generation opens.
        """
        if generation is None:
            generation = (await self.hints([object_id])).get(object_id)
        failures: list[str] = []
        if generation is not None:
            plain = await self._try(kind, object_id, generation, failures)
            if plain is not None:
                return plain
        for other in await self.existing(kind, object_id):
            if other != generation:
                plain = await self._try(kind, object_id, other, failures)
                if plain is not None:
                    return plain
        name = self._codec.names.generations(kind, object_id)
        raise ChunkDamaged(name=name, reason="; ".join(failures) or "it does not exist")

    async def existing(self, kind: ObjectType, object_id: bytes) -> list[int]:
        """Return the generations that the store holds, the highest first."""
        prefix = self._codec.names.generations(kind, object_id)
        found = [self._codec.names.parse_object(kind, info.name) async for info in self._store.scan(prefix)]
        return sorted((parsed[1] for parsed in found if parsed is not None), reverse=True)

    async def open(self, kind: ObjectType, object_id: bytes, generation: int) -> bytes:
        """Return the plaintext of exactly this generation. Raises ObjectDamaged, BlobMissing or BlobTooLarge."""
        frame = await self._store.get(self._codec.names.object(kind, object_id, generation))
        return await compute(self._executor, lambda: self._codec.open(kind, object_id, generation, frame))

    async def _try(self, kind: ObjectType, object_id: bytes, generation: int, failures: list[str]) -> bytes | None:
        try:
            return await self.open(kind, object_id, generation)
        except _UNREADABLE as error:
            failures.append(str(error))
            return None
