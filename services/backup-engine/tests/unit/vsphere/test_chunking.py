"""Chunks of a disk, whatever order and size its source delivers."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from backup_engine.domain.change_tracking import FullReason
from backup_engine.domain.extents import Extent
from backup_engine.ports.hypervisor import Capabilities
from backup_engine.ports.hypervisor_values import Disk, DiskAddress
from backup_engine.testing.chunking import known_chunks, read_chunks
from backup_engine.transports.planning import DiskPlan, Mode
from hypothesis import given
from hypothesis import strategies as st

CHUNK = 16


class MemorySource:
    """A disk in memory, read at random or streamed in grains."""

    transport = "memory"
    wire_bytes = 0

    def __init__(self, content: bytes, *, random_read: bool, grain: int = 8) -> None:
        self.content = content
        self.capabilities = Capabilities(random_read=random_read, sequential_read=not random_read)
        self.grain = grain
        self.reads: list[int] = []
        self.under_way = 0
        self.most_under_way = 0

    @property
    def capacity_bytes(self) -> int:
        return len(self.content)

    async def pread(self, offset: int, length: int) -> bytes:
        self.reads.append(offset)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        # Later reads end earlier, so that order is not owed to luck.
        for _ in range(20 - offset // CHUNK % 20):
            await asyncio.sleep(0)
        self.under_way -= 1
        return self.content[offset : offset + length]

    async def stream(self) -> AsyncGenerator[tuple[int, bytes], None]:
        for offset in range(0, len(self.content), self.grain):
            data = self.content[offset : offset + self.grain]
            if any(data):
                yield offset, data

    async def finish(self) -> None: ...

    async def close(self) -> None: ...


def plan(extents: list[Extent] | None = None, mode: Mode = Mode.FULL) -> DiskPlan:
    address = DiskAddress(1000, "ParaVirtualSCSIController", 0, 0)
    disk = Disk(
        2000, "Hard disk 1", 0, None, address, "[ds] a/a.vmdk", "ds", None, True, "persistent", False, True, False, None
    )
    return DiskPlan(disk, mode, FullReason.NONE, "", tuple(extents) if extents is not None else None, None, None)


async def content_of(source: MemorySource, wanted: DiskPlan) -> tuple[list[int], bytes]:
    disk, indexes = bytearray(source.capacity_bytes), []
    async for piece in read_chunks(source, wanted, chunk_bytes=CHUNK):
        indexes.append(piece.index)
        if piece.data is not None:
            disk[piece.index * CHUNK : piece.index * CHUNK + len(piece.data)] = piece.data
    return indexes, bytes(disk)


@given(st.binary(min_size=1, max_size=150), st.sampled_from([3, 8, 16, 40]), st.booleans())
def test_chunks_put_together_are_the_disk(sparse: bytes, grain: int, random_read: bool) -> None:
    content = b"".join(bytes([byte]) * 4 if byte > 128 else bytes(4) for byte in sparse)
    indexes, disk = asyncio.run(content_of(MemorySource(content, random_read=random_read, grain=grain), plan()))
    assert disk == content
    assert indexes == sorted(set(indexes))


async def test_an_incremental_at_random_reads_exactly_the_chunks_of_its_areas_in_order() -> None:
    source = MemorySource(bytes(range(1, 101)), random_read=True)
    areas = plan([Extent(17, 1), Extent(40, 20), Extent(95, 500)], Mode.INCREMENTAL)
    indexes, _ = await content_of(source, areas)
    assert indexes == [1, 2, 3, 5, 6] == list(known_chunks(source, areas, CHUNK) or ())
    assert sorted(source.reads) == [16, 32, 48, 80, 96]


async def test_zero_chunks_are_known_to_be_zero_even_where_the_host_calls_all_allocated() -> None:
    content = bytes(CHUNK) + b"x" * CHUNK + bytes(CHUNK)
    for extents in ([Extent(0, 3 * CHUNK)], None):
        source = MemorySource(content, random_read=True)
        pieces = [piece async for piece in read_chunks(source, plan(extents), chunk_bytes=CHUNK)]
        assert [(piece.index, piece.data is None) for piece in pieces] == [(0, True), (1, False), (2, True)]
        assert known_chunks(source, plan(extents), CHUNK) is None


async def test_a_stream_knows_every_chunk_even_of_an_incremental() -> None:
    source = MemorySource(b"y" * 40, random_read=False)
    wanted = plan([Extent(0, 1)], Mode.INCREMENTAL)
    assert known_chunks(source, wanted, CHUNK) is None
    assert (await content_of(source, wanted))[0] == [0, 1, 2]


async def test_no_more_ranges_are_under_way_than_asked_for() -> None:
    source = MemorySource(b"z" * 400, random_read=True)
    async for _ in read_chunks(source, plan(), chunk_bytes=CHUNK, readers=3):
        pass
    assert source.most_under_way == 3


async def test_a_failed_read_ends_the_others_and_is_raised() -> None:
    class Failing(MemorySource):
        async def pread(self, offset: int, length: int) -> bytes:
            if offset == 2 * CHUNK:
                raise OSError("lost")
            return await super().pread(offset, length)

    source = Failing(b"z" * 400, random_read=True)
    with pytest.raises(OSError, match="lost"):
        await content_of(source, plan())
    assert asyncio.all_tasks() == {asyncio.current_task()}
