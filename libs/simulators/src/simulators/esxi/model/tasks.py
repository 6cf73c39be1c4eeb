"""Task objects: work that goes on after its call has been answered."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulators.esxi.vmodl import MethodFault, fault, moid_of, vmodl

log = logging.getLogger(__name__)
KEPT = 2000
"""Finished tasks kept before the oldest disappear."""


@dataclass
class Task:
    """State of one task, as TaskInfo shows it."""

    moid: str
    name: str
    entity: Any
    user: str
    state: str = "running"
    progress: int | None = 0
    result: Any = None
    error: Any = None
    cancellable: bool = False
    queued_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed_at: datetime | None = None


class Tasks:
    """Runs tasks and remembers them; `changed` is called whenever one moves."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._numbers = itertools.count(1)
        self._running: set[asyncio.Task[None]] = set()
        self.by_moid: dict[str, Task] = {}

    def start(self, name: str, entity: Any, user: str, work: Callable[[Task], Awaitable[Any]]) -> Task:
        """Begin `work(task)`; what it returns is the result, a fault it raises is the error."""
        task = Task(f"haTask-{moid_of(entity)}-{name}-{next(self._numbers)}", name, entity, user)
        self.by_moid[task.moid] = task
        while len(self.by_moid) > KEPT:
            self.by_moid.pop(next(iter(self.by_moid)))
        handle = asyncio.create_task(self._run(task, work), name=task.moid)
        self._running.add(handle)
        handle.add_done_callback(self._running.discard)
        return task

    async def _run(self, task: Task, work: Callable[[Task], Awaitable[Any]]) -> None:
        try:
            task.result = await work(task)
            task.state, task.progress = "success", None
        except MethodFault as error:
            task.state, task.error = "error", error
        except Exception as error:  # our own bug must end the task, or its caller waits for ever
            log.exception("task %s failed", task.moid)
            task.state, task.error = "error", fault(vmodl.fault.SystemError, f"internal error: {error}", reason="")
        finally:
            task.completed_at = datetime.now(UTC)
            self._changed()

    async def stop(self) -> None:
        """Cancel and await what still runs."""
        running = list(self._running)
        for handle in running:
            handle.cancel()
        await asyncio.gather(*running, return_exceptions=True)
