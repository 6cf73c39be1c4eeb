"""Parts: what a process is made of. A way to run is only a choice of which parts share a process."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import uvloop
from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert

from common.persistence.database import Database
from common.persistence.mechanisms import leader_leases
from common.persistence.scope import Scope
from common.telemetry.metrics import PART_READY, TIMER_FAILURES, TIMER_SUCCEEDED

log = logging.getLogger(__name__)

T = TypeVar("T")

Check = Callable[[], Awaitable[str | None]]
"""Returns ``None`` when the dependency is there, else what is wrong with it in a few words."""

HOLDER = f"{socket.gethostname()}-{os.getpid()}"
"""Who this process is when it leads."""


class Part(Protocol):
    """Something that runs until it is told to stop, and then stops taking, finishes or hands back, and returns."""

    name: str

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Run until ``stop`` is set; call ``ready`` once when able to work."""


@dataclass(slots=True)
class Service:
    """What a service's ``bootstrap.build`` returns.

    Attributes:
        name: The service.
        parts: ``api``, ``worker`` and, in the backup engine, ``runner``.
        close: Releases what the parts share.
        checks: Readiness checks by dependency, of every part.
        part_checks: Further ones by part, such as the broker's for those that hold a connection to it.
    """

    name: str
    parts: Mapping[str, Part]
    close: Callable[[], Awaitable[None]]
    checks: Mapping[str, Check] = field(default_factory=dict)
    part_checks: Mapping[str, Mapping[str, Check]] = field(default_factory=dict)

    def checks_of(self, part: str) -> dict[str, Check]:
        """Return what one part needs to be ready."""
        return {**self.checks, **self.part_checks.get(part, {})}


class Group:
    """Several parts that stand and fall together, as one part."""

    def __init__(self, name: str, members: Iterable[Part]) -> None:
        self.name = name
        self._members = tuple(members)

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Run every member; ready when all are."""
        waiting = {id(member) for member in self._members}

        def one_ready(member: Part) -> None:
            waiting.discard(id(member))
            if not waiting:
                ready()

        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(member.run(stop, lambda member=member: one_ready(member)), name=member.name)  # type: ignore[misc]


class Every:
    """A timer that one process at a time runs, by a lease row.

    Args:
        name: Name of the timer and of its lease.
        interval: Pause between the end of one run and the next.
        act: What to do; an exception is logged and the next run comes as usual.
        database: Where the lease row is; ``None`` for a timer that every process may run.
    """

    LEASE = timedelta(seconds=30)
    """How long a dead leader is waited for."""

    def __init__(
        self, name: str, interval: timedelta, act: Callable[[], Awaitable[object]], database: Database | None
    ) -> None:
        self.name = name
        self._interval = interval
        self._act = act
        self._database = database

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Act while leading, until ``stop``."""
        ready()
        while not stop.is_set():
            try:
                if self._database is None or await self._lead(self._database):
                    await self._act()
                    TIMER_SUCCEEDED.labels(self.name).set_to_current_time()
            except Exception:
                TIMER_FAILURES.labels(self.name).inc()
                log.exception("timer %s failed", self.name)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval.total_seconds()):
                    await stop.wait()

    async def _lead(self, database: Database) -> bool:
        """Take or renew the lease; it outlasts the pause, so the same process goes on leading."""
        now = func.clock_timestamp()
        until = now + (self.LEASE + self._interval)
        taken = (
            insert(leader_leases)
            .values(name=self.name, holder=HOLDER, held_until=until)
            .on_conflict_do_update(
                index_elements=[leader_leases.c.name],
                set_={"holder": HOLDER, "held_until": until},
                where=or_(leader_leases.c.holder == HOLDER, leader_leases.c.held_until < now),
            )
            .returning(leader_leases.c.name)
        )
        async with database.session("inbox", Scope(role="inbox")) as session:
            return (await session.execute(taken)).scalar_one_or_none() is not None


async def database_check(database: Database) -> str | None:
    """Readiness check: the tenants' door answers."""
    async with database.engine("app").connect() as connection:
        await connection.execute(select(1))
    return None


async def folder_check(folder: Path) -> str | None:
    """Readiness check: the folder is there and may be written, as a volume that was not mounted may not."""
    if not await asyncio.to_thread(folder.is_dir):
        return f"{folder} is no folder"
    return None if await asyncio.to_thread(os.access, folder, os.W_OK | os.X_OK) else f"{folder} may not be written"


async def run(
    parts: Iterable[Part], *, stop: asyncio.Event | None = None, on_ready: Callable[[], None] | None = None
) -> None:
    """Run parts until SIGTERM, SIGINT or ``stop``; the first that ends by itself stops the others.

    Raises:
        ExceptionGroup: A part failed, or ended without having been told to.
    """
    running = tuple(parts)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
    waiting = {id(part) for part in running}

    def ready(part: Part) -> None:
        PART_READY.labels("process", part.name).set(1)
        waiting.discard(id(part))
        if not waiting and on_ready is not None:
            on_ready()

    async def guarded(part: Part) -> None:
        try:
            await part.run(stop, lambda: ready(part))
            if not stop.is_set():
                raise RuntimeError(f"part {part.name} ended by itself")
        finally:
            stop.set()
            PART_READY.labels("process", part.name).set(0)

    async with asyncio.TaskGroup() as group:
        for part in running:
            group.create_task(guarded(part), name=part.name)


def main_loop(program: Coroutine[Any, Any, T]) -> T:
    """Run a program to its end on uvloop, which moves bytes between sockets about twice as fast as asyncio's loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(program)
