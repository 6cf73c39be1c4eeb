"""Reading a point: any extent, in order with or without holes, with a cache, and stopping early."""

import asyncio
import random
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from backup_engine.testing.memory_vault import BytesDisk, MemoryStore, TestVault, disk_plan
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import FormatUnsupported, ObjectDamaged, PointMissing
from backup_engine.vault.frame import FrameType
from backup_engine.vault.manifest import PointManifest, PointRef, list_points, load_manifest, object_id, open_manifest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
MIB = 1 << 20
CONTENT = random.Random(5).randbytes(2 * MIB) + bytes(2 * MIB) + random.Random(6).randbytes(MIB + 4321)


async def backed_up() -> tuple[TestVault, PointManifest]:
    vault = TestVault.create()
    return vault, await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))


@given(st.integers(0, len(CONTENT)), st.integers(0, 3 * MIB))
@settings(max_examples=30, deadline=None)
async def test_any_extent_reads_as_the_disk_has_it(offset: int, length: int) -> None:
    vault, point = await backed_up()
    length = min(length, len(CONTENT) - offset)
    async with vault.reader(point) as reader:
        assert await reader.read(2000, offset, length) == CONTENT[offset : offset + length]


async def test_reading_beyond_the_disk_or_another_disk_is_a_bug_of_the_caller() -> None:
    vault, point = await backed_up()
    async with vault.reader(point) as reader:
        with pytest.raises(ValueError, match="beyond"):
            await reader.read(2000, len(CONTENT) - 1, 2)
        with pytest.raises(KeyError):
            await reader.read(2001, 0, 1)


async def test_a_stream_with_holes_is_the_whole_disk_in_order() -> None:
    vault, point = await backed_up()
    async with vault.reader(point) as reader:
        pieces = [(offset, bytes(piece)) async for offset, piece in reader.stream(2000, holes=True)]
        data = [offset async for offset, _ in reader.stream(2000)]
    assert b"".join(piece for _, piece in pieces) == CONTENT
    assert [offset for offset, _ in pieces] == [number * MIB for number in range(6)]
    assert data == [0, MIB, 4 * MIB, 5 * MIB]


async def test_a_disk_of_holes_only_streams_zeros_when_asked() -> None:
    vault = TestVault.create()
    point = await vault.back_up(disk_plan(BytesDisk(bytes(2 * MIB + 5)), 2 * MIB + 5, extents=[]))
    assert point.disks[0].counts.hole == 3
    async with vault.reader(point) as reader:
        pieces = [bytes(piece) async for _, piece in reader.stream(2000, holes=True)]
        assert [extent async for extent in reader.extents(2000)] == []
    assert b"".join(pieces) == bytes(2 * MIB + 5)


async def test_a_stream_may_be_left_early() -> None:
    vault, point = await backed_up()
    async with vault.reader(point) as reader:
        stream = reader.stream(2000)
        offset, _ = await anext(stream)
        await stream.aclose()
        assert offset == 0
        assert [extent async for extent in reader.extents(2000)] == [(0, 2 * MIB), (4 * MIB, MIB + 4321)]


async def test_a_chunk_that_many_read_at_once_is_fetched_once_and_then_cached() -> None:
    vault, point = await backed_up()
    store = vault.store
    assert isinstance(store, MemoryStore)
    got: list[str] = []
    get = store.get

    async def counted(name: str) -> bytes:
        got.append(name)
        return await get(name)

    store.get = counted  # type: ignore[method-assign]
    async with vault.reader(point, cache_bytes=8 * MIB) as reader:
        answers = await asyncio.gather(*(reader.read(2000, at, 10) for at in range(0, 1000, 10)))
        await reader.read(2000, 5, 10)
    assert b"".join(answers) == CONTENT[:1000]
    assert len([name for name in got if "/chunks/" in name]) == 1


async def test_a_manifest_keeps_all_that_was_recorded() -> None:
    vault = TestVault.create()
    content = random.Random(1).randbytes(MIB)
    plan = disk_plan(BytesDisk(content), MIB, change_id="52 de/7", mode="incremental", full_reason=None)
    parent = PointRef(uuid4(), 7)
    async with vault.writer() as writer:
        prepared = await writer.prepare(
            point_id=uuid4(),
            token=3,
            created_at=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
            parent=parent,
            machine={"name": "café", "nvram": None, "devices": [1, {"x": 2.5}]},
            disks=[await writer.write_disk(plan)],
        )
        await writer.publish(prepared)
    found = await load_manifest(vault.store, vault.keyring, prepared.manifest.point_id)
    assert found == prepared.manifest
    assert found.parent == parent
    assert found.disks[0].change_id == "52 de/7"


async def test_a_missing_point_is_told_and_a_damaged_one_too() -> None:
    vault, point = await backed_up()
    with pytest.raises(PointMissing):
        await load_manifest(vault.store, vault.keyring, uuid4())
    assert isinstance(vault.store, MemoryStore)
    frame = vault.store.blobs[point.name]
    for altered in (b"", frame[:-1], frame[:200] + b"\0" + frame[201:], frame + b"x"):
        vault.store.blobs[point.name] = altered
        with pytest.raises(ObjectDamaged):
            await load_manifest(vault.store, vault.keyring, point.point_id)


async def test_a_manifest_under_another_points_name_is_refused() -> None:
    vault, point = await backed_up()
    frame = await vault.store.get(point.name)
    for ref in (PointRef(uuid4(), point.token), PointRef(point.point_id, point.token + 1)):
        with pytest.raises(ObjectDamaged):
            open_manifest(Codec(vault.keyring), ref, frame)


async def test_of_two_attempts_the_highest_token_that_opens_counts() -> None:
    vault = TestVault.create()
    point_id = uuid4()
    content = random.Random(1).randbytes(MIB)
    for token in (2, 10, 9):
        await vault.back_up(disk_plan(BytesDisk(content), MIB), point_id=point_id, token=token)
    assert (await load_manifest(vault.store, vault.keyring, point_id)).token == 10
    assert isinstance(vault.store, MemoryStore)
    vault.store.blobs[f"v1/{vault.keyring.vault_id}/points/{point_id}.10"] = b""
    assert (await load_manifest(vault.store, vault.keyring, point_id)).token == 9
    assert [ref.token for ref in await list_points(vault.store, vault.keyring.vault_id)] == [2, 9, 10]


@pytest.mark.parametrize(
    ("plain", "error"),
    [
        (b"{}", ObjectDamaged),
        (b"no json", ObjectDamaged),
        (b"[]", ObjectDamaged),
        (b'{"format": 2, "critical": []}', FormatUnsupported),
        (b'{"format": 1, "critical": ["replicas"]}', FormatUnsupported),
    ],
)
async def test_a_manifest_that_this_version_cannot_understand_is_refused(plain: bytes, error: type[Exception]) -> None:
    vault = TestVault.create()
    codec, ref = Codec(vault.keyring), PointRef(uuid4(), 1)
    name = codec.names.point(ref.point_id, ref.token)
    frame = b"".join(codec.seal_meta(FrameType.MANIFEST, object_id(ref.point_id, ref.token), name, plain))
    with pytest.raises(error):
        open_manifest(codec, ref, frame)
