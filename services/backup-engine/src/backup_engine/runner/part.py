"""The runner as a part: takes a message when a slot is free, claims the task it names, acknowledges, executes."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.crash_points import reach
from common.messaging import Broker
from common.messaging.broker import TaskMessage
from common.telemetry.context import span

from backup_engine.ports.control_plane import (
    BackupOrder,
    Claim,
    RemovalOrder,
    RestoreDisksOrder,
    RestoreMachineOrder,
)
from backup_engine.runner import metrics
from backup_engine.runner.attempt import Attempt, to_its_end
from backup_engine.runner.backup import back_up
from backup_engine.runner.remove_snapshot import remove_snapshot
from backup_engine.runner.restore_disks import restore_disks
from backup_engine.runner.restore_machine import restore_machine
from backup_engine.runner.tools import RunnerTools
from backup_engine.workflows.dispatch import TASK_QUEUE

log = logging.getLogger(__name__)

WORK: dict[type[Any], Callable[[Attempt], Awaitable[None]]] = {
    BackupOrder: back_up,
    RestoreMachineOrder: restore_machine,
    RestoreDisksOrder: restore_disks,
    RemovalOrder: remove_snapshot,
}


@contextmanager
def _counted(attempt: Attempt) -> Iterator[None]:
    """Count and log one attempt."""
    kind, began = attempt.claim.kind, time.monotonic()
    log.info("attempt begins", extra={"kind": str(kind)})
    try:
        with metrics.RUNNING.labels(kind).track_inprogress():
            yield
    finally:
        spent = time.monotonic() - began
        metrics.SECONDS.labels(kind).observe(spent)
        metrics.ENDED.labels(kind, attempt.outcome).inc()
        log.info("attempt ended", extra={"kind": str(kind), "outcome": attempt.outcome, "seconds": round(spent, 2)})


class Runner:
    """Part that executes tasks of one site.

    Args:
        tools: what attempts work with.
        broker: where the messages are.
        site: whose queue.
        slots: attempts at once.
        idle: leave after so long without a task; None: stay until told to stop.
    """

    name = "runner"

    def __init__(
        self, tools: RunnerTools, broker: Broker, *, site: str, slots: int = 2, idle: timedelta | None = None
    ) -> None:
        self._tools = tools
        self._broker = broker
        self._site = site
        self._slots = asyncio.Semaphore(slots)
        self._idle = idle
        self._holder = f"{socket.gethostname()}-{os.getpid()}"
        self._attempts: set[Attempt] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._last_task = time.monotonic()

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Take tasks until ``stop``; then hand back what is under way."""
        taking = asyncio.create_task(self._take(), name="runner takes tasks")
        waiting = asyncio.create_task(self._until(stop), name="runner waits for its end")
        ready()
        await asyncio.wait({taking, waiting}, return_when=asyncio.FIRST_COMPLETED)
        for task in (taking, waiting):
            task.cancel()
        # First let a claim in progress end, so that what it began is handed back with the rest.
        results = await asyncio.gather(taking, waiting, return_exceptions=True)
        for attempt in tuple(self._attempts):
            attempt.interrupt()
        await asyncio.gather(*self._running, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _until(self, stop: asyncio.Event) -> None:
        """Wait for the stop, or for idleness, which stops the whole process with success."""
        if self._idle is None:
            await stop.wait()
            return
        while not stop.is_set():
            spent = time.monotonic() - self._last_task
            if not self._running and spent >= self._idle.total_seconds():
                log.info("no task for %d s: leaving", spent)
                stop.set()
            await asyncio.sleep(0.5)

    async def _take(self) -> None:
        messages = aiter(self._broker.tasks(TASK_QUEUE.format(site=self._site)))
        while True:
            await self._slots.acquire()
            try:
                message = await anext(messages)
            except BaseException:
                self._slots.release()
                raise
            await to_its_end(self._start(message))

    async def _start(self, message: TaskMessage) -> None:
        """Claim and begin in one piece: a stop in between would leave a task that nobody works on nor hands back."""
        claimed = await self._claim(message)
        if claimed is None:
            self._slots.release()
            return
        attempt = Attempt(self._tools, *claimed)
        self._attempts.add(attempt)
        running = asyncio.create_task(self._execute(attempt), name=f"task {message.task_id}")
        self._running.add(running)
        running.add_done_callback(self._done)

    async def _claim(self, message: TaskMessage) -> tuple[Claim, float] | None:
        """Claim exactly the named task, then acknowledge; what cannot be claimed is acknowledged too."""
        reach("backup-engine.task.taken")
        sent_at = time.monotonic()
        try:
            claim = await self._tools.control.claim(UUID(message.task_id), self._site, self._holder)
        except ValueError:
            claim = None
        except Exception:
            log.exception("task %s could not be claimed", message.task_id)
            await message.give_back()
            await asyncio.sleep(1)
            return None
        if claim is not None:
            reach("backup-engine.task.claimed")
        try:
            await message.ack()
        except Exception:
            # It will come again, find nothing to claim and be acknowledged then; what was claimed is done now.
            log.exception("task %s could not be acknowledged", message.task_id)
        return None if claim is None else (claim, sent_at)

    async def _execute(self, attempt: Attempt) -> None:
        claim = attempt.claim
        fields = {"tenant_id": str(claim.grant.tenant_id), "task_id": str(claim.grant.task_id)}
        trace = {"correlation": str(claim.grant.task_id), **claim.trace}
        try:
            with span(f"task {claim.kind}", fields=fields, **trace), _counted(attempt):
                await attempt.run(WORK[type(claim.order)])
        except Exception:
            log.exception("attempt at task %s broke", claim.grant.task_id)
        finally:
            self._attempts.discard(attempt)

    def _done(self, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        self._last_task = time.monotonic()
        self._slots.release()
