"""Reading a restore point: any extent, a whole disk in order, or every object to prove it (§13).

What is done with the bytes (a virtual machine, a file, a mount) is the caller's.
"""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from backup_engine.ports.vault import MAX_IDS, BlobStore, Buffer, Generations, ObjectType
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import ChunkDamaged, ObjectDamaged
from backup_engine.vault.extents import Extent
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.manifest import DiskRecord, PointManifest
from backup_engine.vault.maps import MapReader
from backup_engine.vault.nodes import PAGE_ENTRIES, EntryKind
from backup_engine.vault.objects import ObjectReader

SEEN = 1 << 20
"""Ids that verification remembers so as to read each once: some 100 MiB. Beyond, some are read again."""


@dataclass(frozen=True, slots=True)
class Damage:
    """An object of a point that cannot be read in any generation, and what is lost with it."""

    disk_key: int
    type: ObjectType
    id: bytes
    offset: int
    length: int
    reason: str


class PointReader:
    """Reads one restore point. Use it as an async context manager, or ``close`` it."""

    def __init__(
        self,
        store: BlobStore,
        keyring: Keyring,
        manifest: PointManifest,
        *,
        generations: Generations | None = None,
        executor: Executor | None = None,
        cache_bytes: int = 0,
    ) -> None:
        """Prepare a reader.

        Args:
            store: where the vault is.
            keyring: of the vault.
            manifest: of the point.
            generations: the catalogue; without it the highest generation that exists is taken.
            executor: threads for computing; without it the reader has its own.
            cache_bytes: plaintext kept for ``read``; 0 keeps nothing.
        """
        self.manifest = manifest
        self._codec = Codec(keyring)
        self._own_executor = None if executor else ThreadPoolExecutor(os.cpu_count() or 1, "vault-reader")
        self._objects = ObjectReader(
            store, self._codec, executor or self._own_executor or ThreadPoolExecutor(1), generations
        )
        self._maps: dict[int, MapReader] = {}
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._cache_free = cache_bytes
        self._fetching: dict[bytes, asyncio.Task[bytes]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def disk(self, key: int) -> DiskRecord:
        """Return the disk of this device key. Raises KeyError."""
        for disk in self.manifest.disks:
            if disk.key == key:
                return disk
        raise KeyError(key)

    async def read(self, disk_key: int, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at ``offset``; holes are zeros. Each chunk is fetched once for all who ask now.

        Raises:
            ChunkDamaged: a chunk that holds some of them cannot be read.
        """
        disk = self.disk(disk_key)
        if offset < 0 or length < 0 or offset + length > disk.capacity_bytes:
            raise ValueError(f"{length} bytes at {offset} lie beyond the disk")
        answer = bytearray(length)
        disk_map = await self._map(disk)
        size = disk.chunk_size
        for position in range(offset // size, -(-(offset + length) // size)):
            entry = await disk_map.entry(position)
            if entry.kind is EntryKind.DATA:
                plain = await self._cached(entry.id, disk_map.geometry.chunk_length(position))
                start, stop = max(offset, position * size), min(offset + length, position * size + len(plain))
                answer[start - offset : stop - offset] = plain[start - position * size : stop - position * size]
        return bytes(answer)

    async def stream(
        self, disk_key: int, *, holes: bool = False, read_ahead: int = 4
    ) -> AsyncGenerator[tuple[int, Buffer], None]:
        """Yield (offset, bytes) chunk by chunk, ascending, fetching ``read_ahead`` chunks in advance.

        Zeros and holes are left out, unless ``holes`` wants them as zeros.

        Raises:
            ChunkDamaged: the next chunk cannot be read.
        """
        disk = self.disk(disk_key)
        disk_map = await self._map(disk)
        ahead: deque[tuple[int, asyncio.Task[bytes]]] = deque()
        following = 0
        try:
            async for position, object_id, generation in self._located(disk_map):
                length = disk_map.geometry.chunk_length(position)
                ahead.append((position, asyncio.create_task(self._chunk(object_id, length, generation))))
                if len(ahead) > read_ahead:
                    async for piece in self._next(disk_map, ahead, following, holes=holes):
                        yield piece
                        following = piece[0] // disk.chunk_size + 1
            while ahead:
                async for piece in self._next(disk_map, ahead, following, holes=holes):
                    yield piece
                    following = piece[0] // disk.chunk_size + 1
            if holes:
                for position in range(following, disk_map.geometry.chunks):
                    yield position * disk.chunk_size, bytes(disk_map.geometry.chunk_length(position))
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)

    async def extents(self, disk_key: int) -> AsyncIterator[Extent]:
        """Yield (offset, length) of all data, ascending; what adjoins is one extent."""
        disk = self.disk(disk_key)
        disk_map = await self._map(disk)
        start = end = -1
        async for position, _ in disk_map.data():
            offset = position * disk.chunk_size
            if offset != end:
                if end >= 0:
                    yield start, end - start
                start = offset
            end = offset + disk_map.geometry.chunk_length(position)
        if end >= 0:
            yield start, end - start

    async def verify(self) -> AsyncIterator[Damage]:
        """Read and open every object of the point, each once; yield those of which no generation opens."""
        seen: set[bytes] = set()
        for disk in self.manifest.disks:
            try:
                disk_map = await self._map(disk)
            except (ChunkDamaged, ObjectDamaged) as error:
                yield Damage(disk.key, ObjectType.ROOT, disk.root, 0, disk.capacity_bytes, str(error))
                continue
            async for damage in self._verify_disk(disk, disk_map, seen):
                yield damage

    async def check_existence(self, exists: Callable[[bytes], bool]) -> None:
        """Open the maps and demand that every chunk exists. Raises ChunkDamaged or ObjectDamaged."""
        for disk in self.manifest.disks:
            async for position, object_id in (await self._map(disk)).data():
                if not exists(object_id):
                    name = self._codec.names.generations(ObjectType.CHUNK, object_id)
                    raise ChunkDamaged(name=name, reason=f"it is missing at {position * disk.chunk_size}")

    async def close(self) -> None:
        """Give up fetches under way and release threads."""
        tasks = tuple(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._own_executor is not None:
            await asyncio.to_thread(self._own_executor.shutdown)

    async def _map(self, disk: DiskRecord) -> MapReader:
        if disk.key not in self._maps:
            opened = await MapReader.open(disk.root, self._objects.fetch, self._codec)
            if (opened.geometry.capacity_bytes, opened.geometry.chunk_size) != (disk.capacity_bytes, disk.chunk_size):
                name = self._codec.names.generations(ObjectType.ROOT, disk.root)
                raise ObjectDamaged(name=name, reason="it is the map of another disk")
            self._maps[disk.key] = opened
        return self._maps[disk.key]

    async def _located(
        self, disk_map: MapReader, pages: list[int] | None = None
    ) -> AsyncIterator[tuple[int, bytes, int | None]]:
        """Yield (position, id, generation by the catalogue) of data, asking the catalogue in large batches."""
        batch: list[tuple[int, bytes]] = []
        async for found in disk_map.data(pages=pages):
            batch.append(found)
            if len(batch) == MAX_IDS:
                async for located in self._with_hints(batch):
                    yield located
                batch = []
        async for located in self._with_hints(batch):
            yield located

    async def _with_hints(self, batch: list[tuple[int, bytes]]) -> AsyncIterator[tuple[int, bytes, int | None]]:
        hints = await self._objects.hints([object_id for _, object_id in batch]) if batch else {}
        for position, object_id in batch:
            yield position, object_id, hints.get(object_id)

    async def _next(
        self, disk_map: MapReader, ahead: deque[tuple[int, asyncio.Task[bytes]]], following: int, *, holes: bool
    ) -> AsyncIterator[tuple[int, Buffer]]:
        size = disk_map.geometry.chunk_size
        if holes:
            for position in range(following, ahead[0][0]):
                yield position * size, bytes(size)
        position, task = ahead[0]
        plain = await task
        ahead.popleft()
        yield position * size, plain

    async def _chunk(self, object_id: bytes, length: int, generation: int | None = None) -> bytes:
        plain = await self._objects.fetch(ObjectType.CHUNK, object_id, generation)
        if len(plain) != length:
            name = self._codec.names.generations(ObjectType.CHUNK, object_id)
            raise ChunkDamaged(name=name, reason=f"it holds {len(plain)} bytes where the disk has {length}")
        return plain

    async def _cached(self, object_id: bytes, length: int) -> bytes:
        if object_id in self._cache:
            self._cache.move_to_end(object_id)
            return self._cache[object_id]
        if object_id not in self._fetching:
            task = asyncio.create_task(self._chunk(object_id, length))
            self._fetching[object_id] = task
            task.add_done_callback(lambda _: self._fetching.pop(object_id, None))
        plain = await asyncio.shield(self._fetching[object_id])
        self._remember(object_id, plain)
        return plain

    def _remember(self, object_id: bytes, plain: bytes) -> None:
        if object_id in self._cache:
            return
        self._cache[object_id] = plain
        self._cache_free -= len(plain)
        while self._cache_free < 0 and self._cache:
            _, dropped = self._cache.popitem(last=False)
            self._cache_free += len(dropped)

    async def _verify_disk(self, disk: DiskRecord, disk_map: MapReader, seen: set[bytes]) -> AsyncIterator[Damage]:
        geometry, page_bytes = disk_map.geometry, PAGE_ENTRIES * disk.chunk_size
        for index in disk_map.root.present_pages():
            page_id = disk_map.root[index] or b""
            try:
                await disk_map.page(index)
            except (ChunkDamaged, ObjectDamaged) as error:
                length = min(page_bytes, disk.capacity_bytes - index * page_bytes)
                yield Damage(disk.key, ObjectType.PAGE, page_id, index * page_bytes, length, str(error))
                continue
            async for position, object_id, generation in self._located(disk_map, [index]):
                if object_id in seen:
                    continue
                if len(seen) >= SEEN:
                    seen.clear()
                seen.add(object_id)
                try:
                    await self._chunk(object_id, geometry.chunk_length(position), generation)
                except ChunkDamaged as error:
                    offset, length = position * disk.chunk_size, geometry.chunk_length(position)
                    yield Damage(disk.key, ObjectType.CHUNK, object_id, offset, length, str(error))
