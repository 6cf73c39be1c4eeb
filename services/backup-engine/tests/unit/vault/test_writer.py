"""What a restore point holds is what the disk held: full, incremental, streamed, odd sizes, interrupted."""

import asyncio
import itertools
import random

import pytest
from backup_engine.ports.vault import Buffer, StoreFull
from backup_engine.testing.memory_collection import collect
from backup_engine.testing.memory_vault import BytesDisk, MemoryStore, PieceStream, RowState, TestVault, disk_plan
from backup_engine.vault.errors import PointConflict, SourceBroken
from backup_engine.vault.manifest import list_points, load_manifest
from backup_engine.vault.writer import Outside, Progress

pytestmark = pytest.mark.unit
MIB = 1 << 20


def disk_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def patched(content: bytes, offset: int, piece: bytes) -> bytes:
    return content[:offset] + piece + content[offset + len(piece) :]


@pytest.mark.invariant("D61")
@pytest.mark.parametrize("size", [0, 1, 511, MIB - 1, MIB, MIB + 1, 5 * MIB + 12345])
async def test_a_disk_of_any_size_restores_byte_for_byte(size: int) -> None:
    vault = TestVault.create()
    content = disk_bytes(size)
    manifest = await vault.back_up(disk_plan(BytesDisk(content), size))
    assert await vault.restore(manifest) == content


async def test_four_disks_at_once_restore_byte_for_byte() -> None:
    vault = TestVault.create()
    contents = {key: disk_bytes(7 * MIB + key, key) for key in range(2000, 2004)}
    async with vault.writer() as writer:
        async with asyncio.TaskGroup() as tasks:
            writing = [
                tasks.create_task(writer.write_disk(disk_plan(BytesDisk(content), len(content), key=key)))
                for key, content in contents.items()
            ]
        records = [task.result() for task in writing]
    assert [record.key for record in records] == list(contents)
    manifest = await vault.back_up(
        *[disk_plan(BytesDisk(content), len(content), key=key) for key, content in contents.items()]
    )
    assert [disk.root for disk in manifest.disks] == [record.root for record in records]
    for key, content in contents.items():
        assert await vault.restore(manifest, key=key) == content


async def test_zeros_are_not_stored_and_unread_parts_are_holes() -> None:
    vault = TestVault.create()
    content = disk_bytes(MIB) + bytes(3 * MIB)
    source = BytesDisk(content)
    manifest = await vault.back_up(disk_plan(source, len(content), extents=[(0, 2 * MIB)]))
    counts = manifest.disks[0].counts
    assert (counts.data, counts.zero, counts.hole) == (1, 1, 2)
    assert (counts.read, counts.skipped, counts.new) == (2 * MIB, 2 * MIB, MIB)
    assert await vault.restore(manifest) == content


async def test_an_incremental_reads_only_its_extents_and_keeps_the_rest() -> None:
    vault = TestVault.create()
    before = disk_bytes(8 * MIB)
    full = await vault.back_up(disk_plan(BytesDisk(before), len(before)))
    after = patched(before, 3 * MIB + 100, b"changed")
    source = BytesDisk(after)
    asked = vault.catalogue.asked
    plan = disk_plan(
        source,
        len(after),
        mode="incremental",
        full_reason=None,
        extents=[(3 * MIB + 64, 512)],
        outside=Outside.PARENT,
        parent_root=full.disks[0].root,
    )
    point = await vault.back_up(plan)
    assert source.reads == [(3 * MIB, MIB)]
    assert point.disks[0].counts.new == MIB
    assert point.disks[0].counts.data == 8
    assert vault.catalogue.asked - asked <= 6
    assert await vault.restore(point) == after
    assert await vault.restore(full) == before


async def test_a_chunk_equal_to_the_parents_at_its_place_is_not_looked_up() -> None:
    vault = TestVault.create()
    content = disk_bytes(4 * MIB)
    full = await vault.back_up(disk_plan(BytesDisk(content), len(content)))
    asked = vault.catalogue.asked
    again = await vault.back_up(disk_plan(BytesDisk(content), len(content), parent_root=full.disks[0].root))
    assert again.disks[0].root == full.disks[0].root
    assert again.disks[0].counts.stored == 0
    assert vault.catalogue.asked - asked <= 2  # The parent's root and its one page, for their generations.


async def test_a_chunk_that_became_zero_is_no_data_any_more() -> None:
    vault = TestVault.create()
    before = disk_bytes(3 * MIB)
    full = await vault.back_up(disk_plan(BytesDisk(before), len(before)))
    after = patched(before, MIB, bytes(MIB))
    plan = disk_plan(
        BytesDisk(after), len(after), extents=[(MIB, 1)], outside=Outside.PARENT, parent_root=full.disks[0].root
    )
    point = await vault.back_up(plan)
    assert (point.disks[0].counts.data, point.disks[0].counts.zero) == (2, 1)
    assert await vault.restore(point) == after


async def test_changes_outside_the_hint_are_counted_and_became_zero_is_not() -> None:
    vault = TestVault.create()
    before = disk_bytes(6 * MIB)
    full = await vault.back_up(disk_plan(BytesDisk(before), len(before)))
    after = patched(patched(patched(before, 0, b"hinted"), 2 * MIB, b"missed"), 4 * MIB, bytes(MIB))
    plan = disk_plan(BytesDisk(after), len(after), parent_root=full.disks[0].root, hinted=[(0, 10)])
    async with vault.writer() as writer:
        record = await writer.write_disk(plan)
    assert record.unexpected_changes == 1


async def test_a_stream_in_odd_pieces_equals_the_disk_and_gaps_are_holes() -> None:
    vault = TestVault.create()
    content = patched(bytes(6 * MIB + 700), 100, disk_bytes(2 * MIB))
    content = patched(content, 5 * MIB + 3, disk_bytes(MIB + 600))
    cuts = sorted(random.Random(4).sample(range(100, 2 * MIB + 100), 40))
    edges = [100, *cuts, 2 * MIB + 100]
    pieces: list[tuple[int, Buffer]] = [(a, content[a:b]) for a, b in itertools.pairwise(edges)]
    pieces += [(5 * MIB, content[5 * MIB : 6 * MIB + 650])]
    manifest = await vault.back_up(disk_plan(PieceStream(pieces), len(content)))
    assert await vault.restore(manifest) == content
    assert manifest.disks[0].counts.hole == 2


@pytest.mark.invariant("D35")
@pytest.mark.parametrize("pieces", [[(MIB, b"x" * 10), (0, b"y")], [(0, b"abc"), (2, b"d")], [(3 * MIB - 1, b"xy")]])
async def test_a_stream_that_goes_back_or_beyond_fails_the_disk(pieces: list[tuple[int, Buffer]]) -> None:
    vault = TestVault.create()
    with pytest.raises(SourceBroken):
        await vault.back_up(disk_plan(PieceStream(pieces), 3 * MIB))


async def test_a_short_read_fails_the_disk_and_the_writer_can_still_write_another() -> None:
    vault = TestVault.create()
    content = disk_bytes(40 * MIB)
    async with vault.writer() as writer:
        for _ in range(3):
            with pytest.raises(SourceBroken):
                await writer.write_disk(disk_plan(BytesDisk(content[:-1]), len(content)))
        record = await writer.write_disk(disk_plan(BytesDisk(content), len(content)))
    assert record.counts.data == 40


async def test_an_equal_disk_written_twice_in_one_point_is_stored_once() -> None:
    vault = TestVault.create()
    content = disk_bytes(5 * MIB)
    plans = [disk_plan(BytesDisk(content), len(content), key=key) for key in (2000, 2001)]
    manifest = await vault.back_up(*plans, first_full=True)
    assert manifest.disks[0].root == manifest.disks[1].root
    assert manifest.disks[1].counts.stored == 0


async def test_a_cancelled_writer_leaves_no_point_and_its_chunks_are_found_by_the_next() -> None:
    vault = TestVault.create()
    content = disk_bytes(40 * MIB)
    stuck = asyncio.Event()

    class StuckDisk(BytesDisk):
        async def pread(self, offset: int, length: int) -> Buffer:
            if offset >= 30 * MIB:
                stuck.set()
                await asyncio.Event().wait()
            return await super().pread(offset, length)

    async with vault.writer() as writer:
        task = asyncio.create_task(writer.write_disk(disk_plan(StuckDisk(content), len(content))))
        await stuck.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await list_points(vault.store, vault.keyring.vault_id) == []
    manifest = await vault.back_up(disk_plan(BytesDisk(content), len(content)))
    assert await vault.restore(manifest) == content


async def test_a_full_store_is_told_and_leaves_no_point() -> None:
    vault = TestVault.create(MemoryStore(room_bytes=3 * MIB))
    content = disk_bytes(20 * MIB)
    with pytest.raises(StoreFull):
        await vault.back_up(disk_plan(BytesDisk(content), len(content)))
    assert await list_points(vault.store, vault.keyring.vault_id) == []


async def test_a_manifest_can_be_published_twice_and_not_replaced() -> None:
    vault = TestVault.create()
    content = disk_bytes(MIB)
    manifest = await vault.back_up(disk_plan(BytesDisk(content), len(content)))
    async with vault.writer() as writer:
        disk = await writer.write_disk(disk_plan(BytesDisk(content), len(content)))
        again = await writer.prepare(
            point_id=manifest.point_id,
            token=manifest.token + 1,
            created_at=manifest.created_at,
            parent=None,
            machine={"name": "second"},
            disks=[disk],
        )
        await writer.publish(again)
        await writer.publish(again)
        other = await writer.prepare(
            point_id=manifest.point_id,
            token=manifest.token,
            created_at=manifest.created_at,
            parent=None,
            machine={},
            disks=[disk],
        )
        with pytest.raises(PointConflict):
            await writer.publish(other)
    found = await load_manifest(vault.store, vault.keyring, manifest.point_id)
    assert (found.token, found.machine) == (manifest.token + 1, {"name": "second"})


async def test_progress_is_told_and_sums_up() -> None:
    vault = TestVault.create()
    content = disk_bytes(4 * MIB) + bytes(4 * MIB)
    told: list[Progress] = []
    async with vault.writer(progress=told.append) as writer:
        await writer.write_disk(disk_plan(BytesDisk(content), len(content), extents=[(0, 6 * MIB)]))
    last = told[-1]
    assert (last.bytes_total, last.bytes_read, last.bytes_skipped, last.bytes_new) == (
        8 * MIB,
        6 * MIB,
        2 * MIB,
        4 * MIB,
    )
    assert last.bytes_stored > 4 * MIB
    assert last.limiting_stage in {"read", "compute", "store", "catalogue"}


async def test_the_limiting_stage_is_reading_when_the_source_is_slow() -> None:
    vault = TestVault.create()
    content = disk_bytes(8 * MIB)

    class SlowDisk(BytesDisk):
        async def pread(self, offset: int, length: int) -> Buffer:
            await asyncio.sleep(0.05)
            return await super().pread(offset, length)

    async with vault.writer() as writer:
        await writer.write_disk(disk_plan(SlowDisk(content), len(content), concurrent_reads=1))
        assert writer.progress_now.limiting_stage == "read"


@pytest.mark.invariant("D61")
async def test_a_sparse_disk_of_62_tib_costs_only_what_it_holds() -> None:
    capacity = 62 * 1024**4 + 12345

    class Sparse:
        async def pread(self, offset: int, length: int) -> Buffer:
            return (offset + 1).to_bytes(8, "big") * (length // 8) + b"x" * (length % 8)

    vault = TestVault.create()
    extents = [(0, 1), (capacity // 2, 1), (capacity - 1, 1)]
    full = await vault.back_up(disk_plan(Sparse(), capacity, extents=extents, chunk_size=4 * MIB))
    assert full.disks[0].counts.data == 3
    assert full.disks[0].counts.stored < 200_000
    plan = disk_plan(
        Sparse(),
        capacity,
        chunk_size=4 * MIB,
        extents=[(4 * MIB, 1)],
        outside=Outside.PARENT,
        parent_root=full.disks[0].root,
    )
    point = await vault.back_up(plan)
    async with vault.reader(point) as reader:
        pieces = {offset: len(piece) async for offset, piece in reader.stream(2000)}
        found = [extent async for extent in reader.extents(2000)]
        tail = await reader.read(2000, capacity - 12, 12)
    tail_at = capacity // (4 * MIB) * 4 * MIB
    assert sorted(pieces) == [0, 4 * MIB, capacity // 2 // (4 * MIB) * 4 * MIB, tail_at]
    assert pieces[tail_at] == capacity - tail_at
    assert found[0] == (0, 8 * MIB)
    assert tail.endswith(b"x" * (12345 % 8))


@pytest.mark.invariant("D50")
async def test_two_writers_of_the_same_chunks_at_once_both_restore() -> None:
    vault = TestVault.create()
    content = disk_bytes(12 * MIB)
    points = await asyncio.gather(
        *(vault.back_up(disk_plan(BytesDisk(content), len(content)), first_full=lazy) for lazy in (True, False, True))
    )
    for point in points:
        assert await vault.restore(point) == content
        assert await vault.restore(point, generations=vault.catalogue) == content
    generations = {generation for _, generation in vault.catalogue.rows}
    assert generations == {0}


@pytest.mark.invariant("D53")
async def test_deleting_a_point_leaves_the_others_whole() -> None:
    vault = TestVault.create()
    contents = [disk_bytes(6 * MIB)]
    points = [await vault.back_up(disk_plan(BytesDisk(contents[0]), 6 * MIB))]
    for number in range(1, 4):
        contents.append(patched(contents[-1], number * MIB, b"changed"))
        plan = disk_plan(
            BytesDisk(contents[-1]),
            6 * MIB,
            extents=[(number * MIB, 7)],
            outside=Outside.PARENT,
            parent_root=points[-1].disks[0].root,
        )
        points.append(await vault.back_up(plan))
    for gone, kept in ((1, (0, 2, 3)), (0, (2, 3))):
        await vault.store.delete([points[gone].name])
        assert await collect(vault, *(points[number] for number in kept)) > 0
    for number in (2, 3):
        assert await vault.restore(points[number]) == contents[number]
        assert await vault.restore(points[number], generations=vault.catalogue) == contents[number]


@pytest.mark.invariant("D43")
async def test_what_an_interrupted_point_stored_is_found_by_the_collector_as_rows() -> None:
    vault = TestVault.create()
    kept = disk_bytes(2 * MIB, 1)
    point = await vault.back_up(disk_plan(BytesDisk(kept), len(kept)))
    lost = disk_bytes(3 * MIB, 2)
    async with vault.writer() as writer:
        await writer.write_disk(disk_plan(BytesDisk(lost), len(lost)))
    assert await collect(vault, point) == 5  # Three chunks, a page and a root.
    assert sum(row.state is RowState.LIVE for row in vault.catalogue.rows.values()) == 4
    assert await vault.restore(point) == kept
