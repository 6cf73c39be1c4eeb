"""The store in front of the vaults' own turns callers away as it is told, and loses nothing."""

from pathlib import Path

import pytest
from backup_engine.adapters.folder_store import FolderStore
from backup_engine.ports.vault import Blob, PutOutcome, StoreUnavailable
from backup_engine.vault.retrying import RetryingStore
from devstack.noise.plan import Refusal
from devstack.noise.store import SlowDownStore

BLOBS = [Blob("a/1", (b"one",)), Blob("a/2", (b"two",))]


@pytest.fixture
async def store(tmp_path: Path):
    front = SlowDownStore()
    front._inner = await FolderStore.open(tmp_path)
    yield front
    await front.close()


@pytest.mark.parametrize("stored", [0.0, 0.5, 1.0])
async def test_a_refused_put_may_have_stored_a_part(store, stored) -> None:
    store.refuse(Refusal("put", 0, 1, stored))
    with pytest.raises(StoreUnavailable, match="503 SlowDown"):
        await store.put_batch(BLOBS)
    assert {info.name async for info in store.scan("a/")} == {blob.name for blob in BLOBS[: round(2 * stored)]}


async def test_whoever_asks_again_is_served_and_counted(store) -> None:
    store.refuse(Refusal("put", 0, 2, 0.5))
    assert await RetryingStore(store).put_batch(BLOBS) == [PutOutcome.EXISTS, PutOutcome.CREATED]
    assert (store.refused, store.asked_again) == (2, 2)
    store.refuse(Refusal("get", 1, 1))
    assert [await RetryingStore(store).get(blob.name) for blob in BLOBS] == [b"one", b"two"]
    assert (store.refused, store.asked_again) == (1, 1)


async def test_nothing_is_refused_unless_it_is_told(store) -> None:
    store.refuse(Refusal("get", 5, 3))
    store.refuse(None)
    await store.put_batch(BLOBS)
    assert await store.get("a/1") == b"one"
    assert store.refused == 0
