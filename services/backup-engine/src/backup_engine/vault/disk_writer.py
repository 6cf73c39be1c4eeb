"""Writing one disk: reading its chunks, telling what is new, and building its map.

Chunks are read and computed concurrently and enter the map in order. A page is kept after the chunks that it
names, the root after the pages (§11, O2).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Literal

from backup_engine.ports.vault import Buffer, ObjectType
from backup_engine.vault.codec import Codec, is_zero
from backup_engine.vault.errors import SourceBroken
from backup_engine.vault.extents import Extent, Positions, chunk_positions, flatten, union
from backup_engine.vault.manifest import ControllerRecord, DiskCounts, DiskRecord
from backup_engine.vault.maps import MapBuilder, MapReader, NewPage
from backup_engine.vault.nodes import DEFAULT_CHUNK_SIZE, PAGE_ENTRIES, ZERO, Entry, Geometry, Root, data
from backup_engine.vault.objects import Fetch, compute
from backup_engine.vault.pipeline import Keeper, Plain
from backup_engine.vault.progress import Meter, Stage
from backup_engine.vault.sources import ChunkCutter, RandomSource, StreamSource, closing_pieces

_WINDOW = 32
"""Chunks of one disk between being asked for and entering the map; more would only wait for buffers."""
_PAGES_COMING = 8


class Outside(Enum):
    """What the positions hold that are not read: nothing (a full), or what the parent holds (an incremental)."""

    HOLE = auto()
    PARENT = auto()


@dataclass(frozen=True)
class DiskPlan:
    """What to read of one disk and how to record it.

    ``extents`` None reads all; a stream is read whole whatever they are. ``hinted`` are the extents that changed
    block tracking reported, on a full read with a parent: chunks that differ outside them are counted.
    ``parent_root`` saves look-ups also where nothing is taken over from the parent.
    """

    key: int
    controller: ControllerRecord
    unit: int
    uuid: str
    label: str
    capacity_bytes: int
    source: RandomSource | StreamSource
    transport: str
    transport_reason: str
    mode: Literal["full", "incremental"]
    full_reason: str | None
    change_id: str | None
    extents: Sequence[Extent] | None = None
    outside: Outside = Outside.HOLE
    parent_root: bytes | None = None
    hinted: Sequence[Extent] | None = None
    chunk_size: int = DEFAULT_CHUNK_SIZE
    concurrent_reads: int = 4


class DiskWriter:
    """Writes the disk of one plan, once."""

    def __init__(
        self,
        plan: DiskPlan,
        *,
        codec: Codec,
        keeper: Keeper,
        fetch: Fetch,
        executor: Executor,
        meter: Meter,
        buffers: asyncio.Semaphore,
        distrusted: frozenset[bytes],
    ) -> None:
        self._plan = plan
        self._geometry = Geometry(plan.capacity_bytes, plan.chunk_size)
        self._codec = codec
        self._keeper = keeper
        self._fetch = fetch
        self._executor = executor
        self._meter = meter
        self._buffers = buffers
        self._distrusted = distrusted
        self._reads = asyncio.Semaphore(plan.concurrent_reads)
        self._window: deque[tuple[int, asyncio.Task[Entry]]] = deque()
        self._keeping: set[asyncio.Task[None]] = set()
        self._pages: deque[asyncio.Task[None]] = deque()
        self._held: set[Plain] = set()
        self._cutting = Plain(b"")
        self._parent: MapReader | None = None
        self._hinted: Positions | None = None
        self._read = self._skipped = self._new = self._stored = self._unexpected = 0

    async def write(self) -> DiskRecord:
        """Store the disk and return its record. Errors of source, store and catalogue pass through."""
        self._meter.bytes_total += self._plan.capacity_bytes
        try:
            async with asyncio.TaskGroup() as tasks:
                root_id, root = await self._write(tasks)
        except BaseExceptionGroup as group:
            self._take_out_of_progress()
            raise _first(group) from group
        finally:
            for plain in tuple(self._held):  # Of chunks that an error or a cancellation left half-way.
                plain.release()
        counts = DiskCounts(
            data=root.data_chunks,
            zero=root.zero_chunks,
            hole=self._geometry.chunks - root.data_chunks - root.zero_chunks,
            read=self._read,
            skipped=self._plan.capacity_bytes - self._read,
            new=self._new,
            stored=self._stored,
        )
        return self._record(root_id, counts)

    async def _write(self, tasks: asyncio.TaskGroup) -> tuple[bytes, Root]:
        plan = self._plan
        if plan.parent_root is not None:
            self._parent = await MapReader.open(plan.parent_root, self._fetch, self._codec)
        continued = self._parent if plan.outside is Outside.PARENT else None
        if plan.outside is Outside.PARENT and (continued is None or not isinstance(plan.source, RandomSource)):
            raise ValueError("an incremental needs its parent's map and a source that reads anywhere")
        builder = MapBuilder(self._geometry, self._codec, continued)
        if isinstance(plan.source, RandomSource):
            await self._read_extents(tasks, builder, plan.source)
        else:
            await self._read_stream(tasks, builder, plan.source)
        while self._window:
            await self._settle(tasks, builder)
        page, root = builder.finish()
        await self._page(tasks, page)
        self._keeper.hurry()
        try:
            while self._pages:
                await self._pages.popleft()
            await _all(self._keeping)
            return await self._keep_root(root), root
        finally:
            self._keeper.relax()

    async def _read_extents(self, tasks: asyncio.TaskGroup, builder: MapBuilder, source: RandomSource) -> None:
        geometry, extents = self._geometry, self._plan.extents
        whole = [(0, geometry.capacity_bytes)] if extents is None else extents
        wanted = chunk_positions(whole, capacity=geometry.capacity_bytes, chunk_size=geometry.chunk_size)
        wanted = union(wanted, [range(at, at + 1) for at in await self._distrusted_positions()])
        to_read = sum(len(part) for part in wanted) * geometry.chunk_size
        self._count_skipped(max(geometry.capacity_bytes - to_read, 0))
        for position in flatten(wanted):
            if len(self._window) >= _WINDOW:
                await self._settle(tasks, builder)
            plain = await self._take()
            self._window.append((position, tasks.create_task(self._read_chunk(tasks, source, position, plain))))

    async def _take(self) -> Plain:
        """Wait for the right to hold one more chunk in memory."""
        with self._meter.starved():
            await self._buffers.acquire()
        plain = Plain(b"", lambda: self._given_back(plain))
        self._held.add(plain)
        return plain

    def _given_back(self, plain: Plain) -> None:
        self._held.discard(plain)
        self._buffers.release()

    async def _read_chunk(self, tasks: asyncio.TaskGroup, source: RandomSource, position: int, plain: Plain) -> Entry:
        length = self._geometry.chunk_length(position)
        async with self._reads:
            with self._meter.within(Stage.READ):
                plain.data = await source.pread(position * self._geometry.chunk_size, length)
        if len(plain.data) != length:
            raise SourceBroken(reason=f"{len(plain.data)} of {length} bytes came from chunk {position}")
        self._count_read(length)
        return await self._judge(tasks, position, plain)

    async def _read_stream(self, tasks: asyncio.TaskGroup, builder: MapBuilder, source: StreamSource) -> None:
        geometry = self._geometry
        cutter = ChunkCutter(geometry)
        async with closing_pieces(source) as pieces:
            await self._cut_pieces(tasks, builder, cutter, pieces)
        if cutter.position != -1:
            await self._cut(tasks, builder, cutter)
        self._count_skipped(geometry.capacity_bytes - self._read)

    async def _cut_pieces(
        self,
        tasks: asyncio.TaskGroup,
        builder: MapBuilder,
        cutter: ChunkCutter,
        pieces: AsyncIterator[tuple[int, Buffer]],
    ) -> None:
        size = self._geometry.chunk_size
        while True:
            with self._meter.within(Stage.READ):
                piece = await anext(pieces, None)
            if piece is None:
                return
            offset, content = piece[0], memoryview(piece[1])
            cutter.check(offset, len(content))
            self._count_read(len(content))
            while content:
                position = offset // size
                if cutter.position not in (-1, position):
                    await self._cut(tasks, builder, cutter)
                if cutter.position == -1:
                    self._cutting = await self._take()
                    cutter.begin(position)
                room = (position + 1) * size - offset
                cutter.put(offset, content[:room])
                offset, content = offset + room, content[room:]

    async def _cut(self, tasks: asyncio.TaskGroup, builder: MapBuilder, cutter: ChunkCutter) -> None:
        plain = self._cutting
        position, plain.data = cutter.finish()
        if len(self._window) >= _WINDOW:
            await self._settle(tasks, builder)
        self._window.append((position, tasks.create_task(self._judge(tasks, position, plain))))

    async def _judge(self, tasks: asyncio.TaskGroup, position: int, plain: Plain) -> Entry:
        """Return what the position holds, and keep its chunk unless the parent has it at the same place."""
        before = await self._parent.entry(position) if self._parent else None
        with self._meter.within(Stage.COMPUTE):
            object_id = await compute(self._executor, partial(_identify, self._codec, plain))
        entry = ZERO if object_id is None else data(object_id)
        if object_id is None or (entry == before and object_id not in self._distrusted):
            plain.release()
        else:
            self._compare_with_hint(position)
            kept = tasks.create_task(self._keep_chunk(object_id, plain))
            self._keeping.add(kept)
            kept.add_done_callback(self._keeping.discard)
        return entry

    def _compare_with_hint(self, position: int) -> None:
        """Count a chunk that differs from the parent's where change tracking saw no change."""
        if self._parent is None or self._plan.hinted is None:
            return
        if self._hinted is None:
            geometry = self._geometry
            ranges = chunk_positions(
                self._plan.hinted, capacity=geometry.capacity_bytes, chunk_size=geometry.chunk_size
            )
            self._hinted = Positions(ranges)
        if position not in self._hinted:
            self._unexpected += 1
            self._meter.unexpected_changes += 1

    async def _keep_chunk(self, object_id: bytes, plain: Plain) -> None:
        plain_bytes = len(plain.data)
        added = await self._keeper.keep(ObjectType.CHUNK, object_id, plain)
        self._stored += added
        self._new += plain_bytes if added else 0

    async def _settle(self, tasks: asyncio.TaskGroup, builder: MapBuilder) -> None:
        """Let the oldest chunk under way enter the map."""
        position, judging = self._window.popleft()
        await self._page(tasks, await builder.add(position, await judging))

    async def _page(self, tasks: asyncio.TaskGroup, page: NewPage | None) -> None:
        """Keep a finished page, once the chunks that it names are kept."""
        if page is None:
            return
        unchanged = self._parent is not None and self._parent.root_page(page.index) == page.id
        if unchanged and page.id not in self._distrusted:
            return
        if len(self._pages) >= _PAGES_COMING:
            # Its chunks may lie in a batch that nothing else is going to fill.
            self._keeper.hurry()
            try:
                await self._pages.popleft()
            finally:
                self._keeper.relax()
        self._pages.append(tasks.create_task(self._keep_page(page, set(self._keeping))))

    async def _keep_page(self, page: NewPage, chunks: set[asyncio.Task[None]]) -> None:
        await _all(chunks)
        self._stored += await self._keeper.keep(ObjectType.PAGE, page.id, Plain(page.plain))

    async def _keep_root(self, root: Root) -> bytes:
        plain = root.pack()
        root_id = self._codec.object_id(ObjectType.ROOT, plain)
        if root_id != self._plan.parent_root or root_id in self._distrusted:
            self._stored += await self._keeper.keep(ObjectType.ROOT, root_id, Plain(plain))
        return root_id

    async def _distrusted_positions(self) -> list[int]:
        """Return the parent's positions that must be read again, and one of each page that must be written again."""
        if self._parent is None or not self._distrusted or self._plan.outside is Outside.HOLE:
            return []
        pages = [
            at * PAGE_ENTRIES for at in self._parent.root.present_pages() if self._parent.root[at] in self._distrusted
        ]
        return pages + [at async for at, object_id in self._parent.data() if object_id in self._distrusted]

    def _take_out_of_progress(self) -> None:
        """Let a disk that will be written again count only for what was read of it."""
        self._meter.bytes_total += self._read - self._plan.capacity_bytes
        self._meter.bytes_skipped -= self._skipped

    def _count_skipped(self, amount: int) -> None:
        self._skipped += amount
        self._meter.bytes_skipped += amount

    def _count_read(self, amount: int) -> None:
        self._read += amount
        self._meter.read(amount)

    def _record(self, root_id: bytes, counts: DiskCounts) -> DiskRecord:
        plan = self._plan
        return DiskRecord(
            key=plan.key,
            controller=plan.controller,
            unit=plan.unit,
            uuid=plan.uuid,
            label=plan.label,
            capacity_bytes=plan.capacity_bytes,
            chunk_size=plan.chunk_size,
            root=root_id,
            change_id=plan.change_id,
            transport=plan.transport,
            transport_reason=plan.transport_reason,
            mode=plan.mode,
            full_reason=plan.full_reason,
            counts=counts,
            unexpected_changes=self._unexpected,
        )


def _identify(codec: Codec, plain: Plain) -> bytes | None:
    """Return the chunk's id, or None if it is all zeros."""
    return None if is_zero(plain.data) else codec.object_id(ObjectType.CHUNK, plain.data)


async def _all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for all of these tasks; raise the error of one that failed."""
    waited = set(tasks)
    if waited:
        await asyncio.wait(waited)
    for task in waited:
        task.result()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that ended the group: the others followed from it or say the same."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
