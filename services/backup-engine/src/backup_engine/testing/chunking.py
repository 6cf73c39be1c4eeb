"""A disk's source as chunks in increasing order: how tests of transports look at one without a vault.

Not here: the vault's own pipeline, which the runner uses (`vault/disk_writer.py`).
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import lru_cache

from backup_engine.domain.extents import chunk_count, chunk_extent, chunks_of
from backup_engine.ports.hypervisor import Buffer, DiskSource
from backup_engine.transports.planning import DiskPlan, Mode

CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk. `data` is None when it holds zeros only; else as long as the chunk, owned by the receiver."""

    index: int
    data: Buffer | None


def known_chunks(source: DiskSource, plan: DiskPlan, chunk_bytes: int = CHUNK_BYTES) -> Sequence[int] | None:
    """Chunks whose state is known after reading; None: all of them.

    A known chunk that was not delivered is zero. Chunks that are not known are as the parent point has them.
    """
    if source.capabilities.random_read and plan.mode is Mode.INCREMENTAL:
        return chunks_of(plan.extents or (), source.capacity_bytes, chunk_bytes)
    return None


async def read_chunks(
    source: DiskSource, plan: DiskPlan, *, chunk_bytes: int = CHUNK_BYTES, readers: int = 4
) -> AsyncGenerator[Piece, None]:
    """Chunks in increasing order, each at most once; see `known_chunks` for those that do not come.

    Args:
        source: open; `finish` it after the last chunk.
        plan: of that disk.
        chunk_bytes: size of a chunk; the last is as short as the disk says.
        readers: ranges under way at a time, where the source reads at random; bounds memory.
    """
    chunks = _at_random(source, plan, chunk_bytes, readers) if source.capabilities.random_read else None
    async with aclosing(chunks or _assembled(source, chunk_bytes)) as pieces:
        async for piece in pieces:
            yield piece


async def _at_random(source: DiskSource, plan: DiskPlan, chunk_bytes: int, readers: int) -> AsyncGenerator[Piece, None]:
    capacity = source.capacity_bytes
    wanted = iter(
        range(chunk_count(capacity, chunk_bytes))
        if plan.extents is None
        else chunks_of(plan.extents, capacity, chunk_bytes)
    )

    async def read(index: int) -> Piece:
        place = chunk_extent(index, capacity, chunk_bytes)
        data = await source.pread(place.offset, place.length)
        return Piece(index, None if data == _zeros(len(data)) else data)

    under_way: deque[asyncio.Task[Piece]] = deque()
    try:
        while True:
            while len(under_way) < readers and (index := next(wanted, None)) is not None:
                under_way.append(asyncio.create_task(read(index)))
            if not under_way:
                return
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _assembled(source: DiskSource, chunk_bytes: int) -> AsyncGenerator[Piece, None]:
    """Blocks of a stream put together; a gap within a chunk is zeros."""
    capacity = source.capacity_bytes
    index, buffer = -1, bytearray()
    async with aclosing(source.stream()) as blocks:
        async for start, block in blocks:
            offset, rest = start, memoryview(block)
            while rest:
                number, within = divmod(offset, chunk_bytes)
                if number != index:
                    if index >= 0:
                        yield Piece(index, buffer)
                    index, buffer = number, bytearray(chunk_extent(number, capacity, chunk_bytes).length)
                part = rest[: chunk_bytes - within]
                buffer[within : within + len(part)] = part
                offset, rest = offset + len(part), rest[len(part) :]
    if index >= 0:
        yield Piece(index, buffer)


@lru_cache(maxsize=4)
def _zeros(length: int) -> bytes:
    return bytes(length)
