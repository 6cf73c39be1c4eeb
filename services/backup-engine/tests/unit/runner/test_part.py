"""The runner as a part: what a stop, a lost broker or a refused claim leaves behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from backup_engine.domain.job import TaskKind
from backup_engine.ports.control_plane import Claim, Grant, RemovalOrder, Renewal, VaultAccess
from backup_engine.runner.part import Runner
from backup_engine.runner.tools import RunnerTools
from common.ids import uuid7
from common.messaging.in_process import InProcessBroker


class Control:
    """A control plane that takes its time to claim."""

    def __init__(self) -> None:
        self.entered, self.go_on = asyncio.Event(), asyncio.Event()
        self.claims: list[Claim] = []
        self.handed_back: list[Grant] = []
        self.work = asyncio.Event()

    async def claim(self, task_id: Any, _site: str, _holder: str) -> Claim:
        self.entered.set()
        await self.go_on.wait()
        claim = Claim(
            grant=Grant(task_id, uuid7(), 1, timedelta(seconds=90)),
            kind=TaskKind.REMOVE_SNAPSHOT,
            order=RemovalOrder("name", "vm-1", None, None, sent=False),
            server_id=uuid7(),
            vault=VaultAccess(uuid7(), b""),
            deployment_id="test",
            claimed_at=datetime(2026, 11, 22, tzinfo=UTC),
        )
        self.claims.append(claim)
        return claim

    async def host_access(self, *_: Any) -> Any:
        self.work.set()
        await asyncio.Event().wait()

    async def renew(self, *_: Any) -> Renewal:
        return Renewal()

    async def hand_back(self, grant: Grant) -> None:
        self.handed_back.append(grant)


@pytest.fixture
async def begun() -> Any:
    """A runner whose claim of one task is under way."""
    control, broker = Control(), InProcessBroker()
    runner = Runner(RunnerTools(control, AsyncMock(), AsyncMock(), AsyncMock()), broker, site="cloud")
    stop = asyncio.Event()
    await broker.send_task("tasks.cloud", str(uuid7()))
    running = asyncio.create_task(runner.run(stop, lambda: None))
    await control.entered.wait()
    yield control, broker, stop, running
    stop.set()
    control.go_on.set()
    await running


@pytest.mark.invariant("S50")
async def test_a_runner_stopped_while_it_claims_hands_the_task_back(begun: Any) -> None:
    control, broker, stop, running = begun
    stop.set()
    await asyncio.sleep(0.05)
    assert not running.done(), "it waits for the claim in progress"
    control.go_on.set()
    async with asyncio.timeout(5):
        await running
    assert control.handed_back == [claim.grant for claim in control.claims]
    assert len(control.handed_back) == 1
    assert broker._queues["tasks.cloud"].empty()


async def test_a_message_that_cannot_be_acknowledged_stops_neither_the_task_nor_the_runner(
    begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, _broker, _stop, running = begun
    failing = AsyncMock(side_effect=ConnectionError("the broker is away"))
    monkeypatch.setattr("common.messaging.in_process.InProcessTask.ack", failing)
    control.go_on.set()
    async with asyncio.timeout(5):
        await control.work.wait()
    assert not running.done()
