"""The conformance suite of blob stores: every store passes all of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from backup_engine.adapters.folder_store import FolderStore
from backup_engine.ports.vault import MAX_BLOB_BYTES, Blob, BlobMissing, BlobStore, BlobTooLarge, PutOutcome
from backup_engine.testing.memory_vault import MemoryStore

pytestmark = pytest.mark.integration
CREATED, EXISTS = PutOutcome.CREATED, PutOutcome.EXISTS


@pytest.fixture(params=["folder", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    made: BlobStore = await FolderStore.open(tmp_path / "vault") if request.param == "folder" else MemoryStore()
    yield made
    await made.close()


async def names(store: BlobStore, prefix: str) -> list[str]:
    return sorted([info.name async for info in store.scan(prefix)])


async def test_what_is_put_is_got_in_all_its_parts(store: BlobStore) -> None:
    blob = Blob("v1/a/chunks/aa/bb/c.0", (b"head", bytearray(b"-body-"), memoryview(b"tail")))
    assert await store.put_batch([blob]) == [CREATED]
    assert await store.get(blob.name) == b"head-body-tail"


async def test_an_empty_blob_and_an_empty_batch_are_fine(store: BlobStore) -> None:
    assert await store.put_batch([]) == []
    assert await store.put_batch([Blob("a/empty", ())]) == [CREATED]
    assert await store.get("a/empty") == b""


async def test_a_name_that_is_taken_is_told_and_never_replaced(store: BlobStore) -> None:
    await store.put_batch([Blob("a/1", (b"first",))])
    outcomes = await store.put_batch([Blob("a/0", (b"zero",)), Blob("a/1", (b"second",)), Blob("a/2", (b"two",))])
    assert outcomes == [CREATED, EXISTS, CREATED]
    assert await store.get("a/1") == b"first"


async def test_one_name_twice_in_a_batch_is_created_once(store: BlobStore) -> None:
    assert await store.put_batch([Blob("a", (b"1",)), Blob("a", (b"2",))]) == [CREATED, EXISTS]
    assert await store.get("a") == b"1"


async def test_more_than_64_blobs_are_no_batch(store: BlobStore) -> None:
    with pytest.raises(ValueError, match="65"):
        await store.put_batch([Blob(f"a/{number}", (b"",)) for number in range(65)])
    assert await names(store, "") == []


async def test_of_many_who_put_one_name_at_once_exactly_one_creates_it(store: BlobStore) -> None:
    puts = await asyncio.gather(*(store.put_batch([Blob("a/b", (bytes([n]) * 1000,))]) for n in range(8)))
    assert sorted((outcome for put in puts for outcome in put), key=str) == [CREATED] + [EXISTS] * 7
    content = await store.get("a/b")
    assert content == content[:1] * 1000


async def test_a_missing_blob_is_told(store: BlobStore) -> None:
    await store.put_batch([Blob("a/b/c", (b"x",))])
    for name in ("nothing", "a/b", "a/b/c/d"):
        with pytest.raises(BlobMissing):
            await store.get(name)
        with pytest.raises(BlobMissing):
            await store.get_range(name, 0, 1)


async def test_a_range_ends_with_the_blob(store: BlobStore) -> None:
    await store.put_batch([Blob("a", (bytes(range(100)),))])
    assert await store.get_range("a", 10, 5) == bytes(range(10, 15))
    assert await store.get_range("a", 95, 50) == bytes(range(95, 100))
    assert await store.get_range("a", 200, 5) == b""


async def test_a_blob_larger_than_any_object_is_refused(store: BlobStore) -> None:
    await store.put_batch([Blob("large", (bytes(MAX_BLOB_BYTES), b"x")), Blob("fits", (bytes(MAX_BLOB_BYTES),))])
    with pytest.raises(BlobTooLarge):
        await store.get("large")
    assert len(await store.get("fits")) == MAX_BLOB_BYTES


async def test_deleting_can_be_repeated(store: BlobStore) -> None:
    await store.put_batch([Blob("a/1", (b"1",)), Blob("a/2", (b"2",))])
    await store.delete(["a/1", "a/3", "b/c/d"])
    await store.delete(["a/1"])
    assert await names(store, "") == ["a/2"]
    assert await store.put_batch([Blob("a/1", (b"again",))]) == [CREATED]


async def test_a_listing_takes_prefixes_as_text_and_tells_sizes_and_times(store: BlobStore) -> None:
    blobs = [Blob(name, (b"12345",)) for name in ("v1/x/aa/1.0", "v1/x/aa/1.1", "v1/x/aa/11.0", "v1/x/ab/2.0", "v2")]
    await store.put_batch(blobs)
    assert await names(store, "v1/x/aa/1.") == ["v1/x/aa/1.0", "v1/x/aa/1.1"]
    assert await names(store, "v1/x/a") == ["v1/x/aa/1.0", "v1/x/aa/1.1", "v1/x/aa/11.0", "v1/x/ab/2.0"]
    assert await names(store, "") == sorted(blob.name for blob in blobs)
    assert await names(store, "none/") == []
    infos = [info async for info in store.scan("v2")]
    assert infos[0].size_bytes == 5
    assert abs(datetime.now(UTC) - infos[0].modified_at) < timedelta(minutes=1)
