"""«Already exists», generations, deletion under way, damage: what may be referenced always opens (§11–§13)."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from backup_engine.ports.vault import Blob, ObjectType, StoredObject
from backup_engine.testing.memory_vault import BytesDisk, MemoryStore, Row, RowState, TestVault, disk_plan
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import ChunkDamaged
from backup_engine.vault.objects import MAX_GENERATIONS
from backup_engine.vault.rescue import ScannedVault
from backup_engine.vault.writer import Outside

pytestmark = pytest.mark.unit
MIB = 1 << 20
CONTENT = random.Random(7).randbytes(3 * MIB)


def memory(vault: TestVault) -> dict[str, bytes]:
    assert isinstance(vault.store, MemoryStore)
    return vault.store.blobs


def chunk_name(vault: TestVault, at: int = 0, generation: int = 0) -> tuple[bytes, str]:
    codec = Codec(vault.keyring)
    object_id = codec.object_id(ObjectType.CHUNK, CONTENT[at * MIB : (at + 1) * MIB])
    return object_id, codec.names.object(ObjectType.CHUNK, object_id, generation)


def good_frame(vault: TestVault, at: int = 0) -> bytes:
    codec = Codec(vault.keyring)
    object_id, _ = chunk_name(vault, at)
    return b"".join(codec.seal(ObjectType.CHUNK, object_id, 0, CONTENT[at * MIB : (at + 1) * MIB]))


def altered(frame: bytes) -> bytes:
    return frame[:5000] + bytes([frame[5000] ^ 1]) + frame[5001:]


@pytest.mark.invariant("D76")
@pytest.mark.parametrize("first_full", [True, False])
@pytest.mark.parametrize("harm", ["empty", "short", "altered", "foreign", "huge"])
async def test_a_bad_object_under_a_chunks_name_is_left_and_the_point_restores(harm: str, first_full: bool) -> None:
    vault = TestVault.create()
    _, name = chunk_name(vault)
    frame = good_frame(vault)
    bad = {
        "empty": b"",
        "short": frame[:-1],
        "altered": altered(frame),
        "foreign": good_frame(vault, 1),
        "huge": bytes(17 * MIB),
    }[harm]
    await vault.store.put_batch([Blob(name, (bad,))])
    point = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)), first_full=first_full)
    assert memory(vault)[name] == bad
    assert chunk_name(vault, generation=1)[1] in memory(vault)
    for generations in (None, vault.catalogue, await ScannedVault.scan(vault.store, vault.keyring.vault_id)):
        assert await vault.restore(point, generations=generations) == CONTENT


async def test_a_good_object_without_a_row_is_adopted_and_gets_its_row() -> None:
    vault = TestVault.create()
    object_id, name = chunk_name(vault)
    frame = good_frame(vault)
    await vault.store.put_batch([Blob(name, (frame,))])
    point = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    assert chunk_name(vault, generation=1)[1] not in memory(vault)
    row = vault.catalogue.rows[object_id, 0]
    assert (row.state, row.object.stored_bytes) == (RowState.LIVE, len(frame))
    assert point.disks[0].counts.data == 3


@pytest.mark.invariant("D44", "D75")
@pytest.mark.parametrize("object_is_gone", [True, False])
async def test_a_chunk_that_is_being_deleted_is_written_under_the_next_generation(object_is_gone: bool) -> None:
    vault = TestVault.create()
    first = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    await vault.store.delete([first.name])
    for row in vault.catalogue.rows.values():
        row.state = RowState.DELETING
    if object_is_gone:
        await vault.store.delete([name for name in memory(vault) if "/chunks/" in name or "/maps/" in name])
    point = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    await vault.store.delete([name for name in memory(vault) if name.endswith(".0") and "/points/" not in name])
    assert await vault.restore(point, generations=vault.catalogue) == CONTENT
    assert await vault.restore(point) == CONTENT


@pytest.mark.invariant("D44")
async def test_an_object_that_the_sweep_takes_between_being_met_and_registered_is_not_referenced() -> None:
    vault = TestVault.create()
    object_id, name = chunk_name(vault)
    frame = good_frame(vault)
    await vault.store.put_batch([Blob(name, (frame,))])
    register = vault.catalogue.stored_chunks

    async def after_the_sweep(objects: Sequence[StoredObject]) -> set[tuple[bytes, int]]:
        row = StoredObject(object_id, 0, ObjectType.CHUNK, MIB, len(frame))
        vault.catalogue.rows.setdefault((object_id, 0), Row(row, RowState.DELETING, 1))
        return await register(objects)

    vault.catalogue.stored_chunks = after_the_sweep  # type: ignore[method-assign]
    point = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    await vault.store.delete([name])
    assert vault.catalogue.rows[object_id, 1].state is RowState.LIVE
    assert await vault.restore(point, generations=vault.catalogue) == CONTENT


async def test_what_the_catalogue_knows_is_marked_used_by_the_tasks_epoch() -> None:
    vault = TestVault.create()
    await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    vault.catalogue.gc_epoch = 7
    await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    assert {row.used_epoch for row in vault.catalogue.rows.values()} == {7}


@pytest.mark.invariant("D47")
async def test_a_damaged_chunk_is_named_and_the_next_backup_writes_a_good_generation() -> None:
    vault = TestVault.create()
    full = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    object_id, name = chunk_name(vault, 1)
    memory(vault)[name] = altered(memory(vault)[name])
    async with vault.reader(full, generations=vault.catalogue) as reader:
        damages = [damage async for damage in reader.verify()]
    assert [(damage.id, damage.offset, damage.length) for damage in damages] == [(object_id, MIB, MIB)]
    with pytest.raises(ChunkDamaged, match=object_id.hex()):
        await vault.restore(full)
    source = BytesDisk(CONTENT)
    plan = disk_plan(source, len(CONTENT), extents=[(0, 1)], outside=Outside.PARENT, parent_root=full.disks[0].root)
    point = await vault.back_up(plan, distrusted=frozenset([object_id]))
    assert source.reads == [(0, MIB), (MIB, MIB)]
    for restored in (full, point):
        assert await vault.restore(restored, generations=vault.catalogue) == CONTENT
        assert await vault.restore(restored) == CONTENT


async def test_a_distrusted_page_and_root_are_written_again() -> None:
    vault = TestVault.create()
    full = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    maps = [name for name in memory(vault) if "/maps/" in name]
    distrusted = frozenset(bytes.fromhex(name.rsplit("/", 1)[1].split(".")[0]) for name in maps)
    root = full.disks[0].root
    point = await vault.back_up(
        disk_plan(BytesDisk(CONTENT), len(CONTENT), extents=[], outside=Outside.PARENT, parent_root=root),
        distrusted=distrusted,
    )
    assert point.disks[0].root == root
    for name in maps:
        memory(vault)[name] = b""
    assert await vault.restore(point, generations=vault.catalogue) == CONTENT


async def test_readers_fall_through_to_the_generation_that_opens_from_the_highest_down() -> None:
    vault = TestVault.create()
    point = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    _, first = chunk_name(vault)
    for generation in (1, 3, 12):
        memory(vault)[chunk_name(vault, generation=generation)[1]] = b"bad"
    assert await vault.restore(point) == CONTENT
    memory(vault)[first] = b""
    with pytest.raises(ChunkDamaged):
        await vault.restore(point)


async def test_a_store_that_alters_everything_is_given_up_and_not_tried_for_ever() -> None:
    vault = TestVault.create()
    for generation in range(MAX_GENERATIONS):
        memory(vault)[chunk_name(vault, generation=generation)[1]] = b"bad"
    with pytest.raises(ChunkDamaged, match="generations"):
        await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))


async def test_the_catalogue_is_asked_in_batches_and_failures_reach_the_writer() -> None:
    vault = TestVault.create()

    async def failing(ids: object) -> dict[bytes, int]:
        raise ConnectionError("the database is away")

    vault.catalogue.known_chunks = failing  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))


async def test_an_executor_can_be_shared_and_is_not_shut_down() -> None:
    vault = TestVault.create()
    with ThreadPoolExecutor(2) as threads:
        point = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)), executor=threads)
        assert await vault.restore(point, executor=threads) == CONTENT
        assert threads.submit(lambda: 1).result() == 1
