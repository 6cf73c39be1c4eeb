"""A store that turns callers away for a moment costs a pause, neither a byte nor an attempt (D46)."""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from unittest.mock import AsyncMock

import pytest
from backup_engine.errors import LeaseTooOld
from backup_engine.ports.vault import (
    Blob,
    BlobInfo,
    BlobMissing,
    BlobStore,
    PutOutcome,
    StoreFull,
    StoreUnavailable,
)
from backup_engine.testing.memory_vault import BytesDisk, MemoryStore, TestVault, disk_plan
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import CatalogueBehind
from backup_engine.vault.retrying import PAUSES_SECONDS, RetryingStore
from backup_engine.vault.states import list_states, write_state

pytestmark = pytest.mark.unit
SLOW_DOWN = StoreUnavailable(reason="503 SlowDown")
MIB = 1 << 20


class Turning(MemoryStore):
    """Fails its next calls with these errors; a put may have stored some of its blobs by then."""

    def __init__(self, *errors: Exception, stored_before: int = 0) -> None:
        super().__init__()
        self.errors = list(errors)
        self.stored_before = stored_before
        self.calls = 0

    def _turn(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        if self.errors:
            await super().put_batch(blobs[: self.stored_before])
        self._turn()
        return await super().put_batch(blobs)

    async def get(self, name: str) -> bytes:
        self._turn()
        return await super().get(name)

    async def delete(self, names: Sequence[str]) -> None:
        self._turn()
        await super().delete(names)

    async def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        self._turn()
        async for info in super().scan(prefix):
            yield info


@pytest.fixture
def slept() -> AsyncMock:
    """Sleep without waiting; keeps the pauses."""
    return AsyncMock()


def pauses(slept: AsyncMock) -> list[float]:
    return [call.args[0] for call in slept.await_args_list]


async def listed(store: BlobStore) -> list[str]:
    return [info.name async for info in store.scan("")]


CALLS: dict[str, Callable[[BlobStore], object]] = {
    "put": lambda store: store.put_batch([Blob("b", (b"2",))]),
    "get": lambda store: store.get("a"),
    "delete": lambda store: store.delete(["a"]),
    "list": listed,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_each_call_is_repeated_until_it_is_answered(call, slept) -> None:
    store = Turning()
    store.blobs["a"] = b"1"
    store.errors = [SLOW_DOWN, SLOW_DOWN]
    await call(RetryingStore(store, sleep=slept))
    assert store.calls == 3
    assert len(pauses(slept)) == 2


async def test_what_was_stored_before_the_refusal_is_found_when_it_is_put_again(slept) -> None:
    store = Turning(SLOW_DOWN, stored_before=1)
    outcomes = await RetryingStore(store, sleep=slept).put_batch([Blob("a", (b"1",)), Blob("b", (b"2",))])
    assert outcomes == [PutOutcome.EXISTS, PutOutcome.CREATED]
    assert store.blobs == {"a": b"1", "b": b"2"}


async def test_pauses_grow_and_no_two_callers_wait_alike(slept) -> None:
    with pytest.raises(StoreUnavailable):
        await RetryingStore(Turning(*[SLOW_DOWN] * 20), sleep=slept).get("a")
    first = pauses(slept)
    assert all(longest / 2 <= pause <= longest for pause, longest in zip(first, PAUSES_SECONDS, strict=True))
    assert first == sorted(first)
    with pytest.raises(StoreUnavailable):
        await RetryingStore(Turning(*[SLOW_DOWN] * 20), sleep=slept).get("a")
    assert pauses(slept)[len(first) :] != first


@pytest.mark.parametrize("error", [StoreFull(), BlobMissing(name="a"), LeaseTooOld()])
async def test_what_waiting_does_not_change_is_raised_at_once(error, slept) -> None:
    store = Turning(error)
    with pytest.raises(type(error)):
        await RetryingStore(store, sleep=slept).get("a")
    assert store.calls == 1
    slept.assert_not_awaited()


async def test_a_listing_that_breaks_later_is_not_passed_off_as_whole(slept) -> None:
    class Breaking(MemoryStore):
        async def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
            async for info in super().scan(prefix):
                yield info
                raise SLOW_DOWN

    store = Breaking()
    store.blobs = {"a": b"1", "b": b"2"}
    with pytest.raises(StoreUnavailable):
        await listed(RetryingStore(store, sleep=slept))


async def test_a_backup_over_a_busy_store_restores_byte_for_byte(slept) -> None:
    content = random.Random(3).randbytes(9 * MIB)
    vault = TestVault.create()
    store = Turning(*[SLOW_DOWN] * 3, stored_before=1)
    store.blobs = vault.store.blobs  # type: ignore[attr-defined]
    vault.store = RetryingStore(store, sleep=slept)
    point = await vault.back_up(disk_plan(BytesDisk(content), len(content)))
    store.errors = [SLOW_DOWN] * 2
    assert await vault.restore(point) == content
    assert not store.errors


async def test_a_state_that_was_stored_though_the_store_was_busy_is_not_taken_for_another_databases(
    slept: AsyncMock,
) -> None:
    """Else one answer that got lost would make the vault read-only until an operator looks at it."""
    busy = Turning(SLOW_DOWN, stored_before=1)
    codec = Codec(TestVault.create(busy).keyring)
    told = {"written_at": datetime(2026, 11, 22, tzinfo=UTC), "highest_token": 3, "gc_epoch": 2}
    await write_state(RetryingStore(busy, sleep=slept), codec, 7, **told)
    assert set(await list_states(busy, codec)) == {7}
    with pytest.raises(CatalogueBehind):
        await write_state(busy, codec, 7, **told)
