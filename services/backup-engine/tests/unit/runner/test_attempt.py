"""An attempt's heartbeat, fence and ends, against a control plane that says what the test wants."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from backup_engine.domain.job import TaskKind
from backup_engine.domain.problem import problem_of
from backup_engine.errors import LeaseTooOld, QuotaReached, StaleToken
from backup_engine.errors.hypervisor import HostUnreachable, HypervisorLoginRefused
from backup_engine.ports.control_plane import Claim, Grant, RemovalOrder, Renewal, Stop, VaultAccess
from backup_engine.ports.vault import StoreFull, StoreUnavailable
from backup_engine.runner.attempt import Attempt
from backup_engine.runner.tools import RunnerTools
from common.ids import uuid7

SOON = timedelta(milliseconds=5)


def attempt_with(control: Any, lease: timedelta = timedelta(seconds=90)) -> Attempt:
    claim = Claim(
        grant=Grant(uuid7(), uuid7(), 1, lease),
        kind=TaskKind.REMOVE_SNAPSHOT,
        order=RemovalOrder("name", "vm-1", None, None, sent=False),
        server_id=uuid7(),
        vault=VaultAccess(uuid7(), b""),
        deployment_id="test",
        claimed_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    tools = RunnerTools(control, AsyncMock(), AsyncMock(), AsyncMock())
    return Attempt(tools, claim, time.monotonic(), SOON)


def control_that(**answers: Any) -> AsyncMock:
    control = AsyncMock()
    control.renew = AsyncMock(**answers) if answers else AsyncMock(return_value=Renewal())
    return control


async def forever(_attempt: Attempt) -> None:
    await asyncio.Event().wait()


async def test_a_cancelled_task_ends_with_the_next_renewal() -> None:
    control = control_that(return_value=Renewal(Stop.CANCEL))
    attempt = attempt_with(control)
    async with asyncio.timeout(2):
        await attempt.run(forever)
    grant, problem = control.fail.await_args.args
    assert (grant, problem["code"]) == (attempt.grant, "cancelled")
    assert control.fail.await_args.kwargs == {"retry": False}


@pytest.mark.invariant("D55")
async def test_a_task_over_quota_ends_with_the_problem_that_the_control_plane_named() -> None:
    problem = problem_of(QuotaReached(resource="storage_gb", limit=1, current=2))
    control = control_that(return_value=Renewal(Stop.QUOTA, problem))
    attempt = attempt_with(control)
    async with asyncio.timeout(2):
        await attempt.run(forever)
    control.fail.assert_awaited_once_with(attempt.grant, problem, retry=False)


@pytest.mark.invariant("S50")
async def test_a_runner_that_is_stopped_hands_its_task_back() -> None:
    control = control_that()
    attempt = attempt_with(control)
    asyncio.get_running_loop().call_later(0.01, attempt.interrupt)
    async with asyncio.timeout(2):
        await attempt.run(forever)
    control.hand_back.assert_awaited_once_with(attempt.grant)
    control.fail.assert_not_awaited()


@pytest.mark.invariant("D73")
async def test_an_attempt_that_was_overtaken_says_and_does_nothing_more() -> None:
    control = control_that(side_effect=StaleToken())
    attempt = attempt_with(control)
    async with asyncio.timeout(2):
        await attempt.run(forever)
    control.fail.assert_not_awaited()
    control.hand_back.assert_not_awaited()


@pytest.mark.invariant("D73")
async def test_an_attempt_that_cannot_renew_stops_by_itself_before_its_lease_is_over() -> None:
    control = control_that(side_effect=OSError("the database is away"))
    attempt = attempt_with(control, lease=timedelta(seconds=15.05))
    acted_after_fence = False

    async def work(running: Attempt) -> None:
        nonlocal acted_after_fence
        while True:
            running.fence.check()
            acted_after_fence = running.fence.remaining() <= 0
            await asyncio.sleep(0.001)

    async with asyncio.timeout(2):
        await attempt.run(work)
    assert not acted_after_fence
    control.fail.assert_not_awaited()
    with pytest.raises(LeaseTooOld):
        attempt.fence.check()


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (HypervisorLoginRefused(host="h"), False),
        (HostUnreachable(host="h", reason="r"), True),
        (StoreFull(), False),
        (OSError("connection reset"), True),
        (RuntimeError("a bug"), False),
    ],
)
async def test_only_what_may_pass_by_itself_is_tried_again(error: Exception, retry: bool) -> None:
    control = control_that()
    attempt = attempt_with(control)

    async def work(_attempt: Attempt) -> None:
        raise error

    await attempt.run(work)
    assert control.fail.await_args.kwargs == {"retry": retry}
    assert control.fail.await_args.args[1]["code"]


async def test_a_task_whose_end_cannot_be_told_is_left_to_its_lease() -> None:
    control = control_that()
    control.fail.side_effect = OSError("the database is away")

    async def work(_attempt: Attempt) -> None:
        raise HypervisorLoginRefused(host="h")

    await attempt_with(control).run(work)
    control.fail.assert_awaited_once()


async def test_work_that_ends_well_tells_nothing_more() -> None:
    control = control_that()

    async def work(_attempt: Attempt) -> None:
        await asyncio.sleep(0)

    await attempt_with(control).run(work)
    control.fail.assert_not_awaited()
    control.hand_back.assert_not_awaited()


async def test_a_busy_store_costs_a_pause_and_no_attempt() -> None:
    attempt = attempt_with(control_that())
    attempt.tools.blobs.get = AsyncMock(side_effect=[StoreUnavailable(reason="503 SlowDown"), b"found"])  # type: ignore[method-assign]
    assert await attempt.store.get("name") == b"found"


@pytest.mark.invariant("D73")
async def test_a_store_is_not_asked_again_once_the_fence_is_up() -> None:
    attempt = attempt_with(control_that(), lease=timedelta(seconds=15.05))
    busy = AsyncMock(side_effect=StoreUnavailable(reason="503 SlowDown"))
    attempt.tools.blobs.get = busy  # type: ignore[method-assign]
    with pytest.raises(LeaseTooOld):
        await attempt.store.get("name")
    busy.assert_awaited_once()
