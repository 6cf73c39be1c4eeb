"""What a dead runner's host lease keeps busy is waited for, but not for ever."""

from unittest.mock import AsyncMock

import pytest
from backup_engine.errors.hypervisor import HypervisorBusy, SnapshotNotFound
from backup_engine.runner import busy
from backup_engine.runner.busy import when_free

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy, "LOOK_SECONDS", 0.001)


async def test_a_call_that_the_host_refused_for_being_busy_is_made_again_until_it_is_free() -> None:
    act = AsyncMock(side_effect=[HypervisorBusy(), HypervisorBusy(), "task-7"])
    assert await when_free(act) == "task-7"
    assert act.await_count == 3


async def test_a_host_that_stays_busy_for_longer_than_its_leases_live_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(busy, "HOST_LEASE_SECONDS", 0.01)
    with pytest.raises(HypervisorBusy):
        await when_free(AsyncMock(side_effect=HypervisorBusy()))


async def test_another_refusal_is_not_waited_for() -> None:
    act = AsyncMock(side_effect=SnapshotNotFound(moref="snapshot-1"))
    with pytest.raises(SnapshotNotFound):
        await when_free(act)
    act.assert_awaited_once()
