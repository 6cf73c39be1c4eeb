"""A stack of processes in one folder: PostgreSQL, RabbitMQ, each simulator and each part is a process of its own.

``make up`` leaves one running and ``make down`` ends it. Crash tests kill, stop and restart what is in theirs.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asyncpg.connection import connect
from asyncpg.exceptions import (
    AdminShutdownError,
    CannotConnectNowError,
    InternalClientError,
    PostgresConnectionError,
)
from common.crash_points import Deed
from common.messaging.rabbitmq import permissions

from devstack import databases, endpoints, environment, running_parts, simulation
from devstack.environment import Environment, Ports
from devstack.members import GATEWAY, MEMBERS
from devstack.running_parts import PartProcess, Readiness
from devstack.secrets import StackSecrets
from devstack.servers import processes
from devstack.servers.placement import remove_placed
from devstack.servers.ports import free_port
from devstack.servers.postgres import EmbeddedPostgres, PostgresServer
from devstack.servers.rabbitmq import RabbitNode, RabbitServer, found_by_environment

READY_SECONDS = 105.0
"""How long all of it may take until every part is ready; then what is missing is said."""

SOUND_SECONDS = 30.0
"""A part that is not ready for so long does not become so by waiting."""

STOP_STEPS = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))
"""A part stops taking and finishes or hands back; one that does not end is ended."""

AT_ONCE = ((signal.SIGKILL, 5.0),)

PARTS = {f"{member.name}-{part}": (member, part) for member in MEMBERS for part in member.parts}
"""Service and part by the name of the process, such as ``billing-worker``."""


class Stack:
    """The stack of one folder; two objects for the same folder mean the same stack.

    As a context manager it is a test's own: started, and in the end killed and removed with all it kept.

    Args:
        folder: Everything that it keeps: data, secrets, logs, and which processes are its.
        tied: Whether everything ends with this process, however that ends.
        own_servers: Whether PostgreSQL and RabbitMQ are its own even where the environment names some.
        settings: Variables of all parts, over those of this process.
    """

    def __init__(
        self, folder: Path, *, tied: bool = True, own_servers: bool = True, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.postgres = EmbeddedPostgres(folder / "postgres", tied=tied)
        self.rabbitmq = RabbitNode(folder / "rabbitmq", tied=tied)
        self.environment: Environment = {}
        self.endpoints: dict[str, Any] = {}
        self._tied = tied
        self._own_servers = own_servers
        self._settings = dict(settings or {})
        self._register = folder / "running.json"
        self._statuses: dict[str, int] = {}

    @property
    def processes(self) -> dict[str, PartProcess]:
        """What was started and not ended by ``end``, by name; some may have died."""
        return running_parts.read(self._register)

    async def start(self, *, seconds: float = READY_SECONDS) -> dict[str, Any]:
        """Start everything; return the endpoints once every part is ready, within ``seconds``.

        Raises:
            RuntimeError: A process ended while starting.
            TimeoutError: Not everything was ready in time.
            ServerError: A server is missing or does not start.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        self.logs.mkdir(parents=True, exist_ok=True)
        kept = StackSecrets.kept_in(self.folder / "secrets.json")
        ports = Ports.chosen()
        for name in simulation.wanted():
            self._spawn_simulator(name, kept, ports)
        (place, announced), urls = await asyncio.gather(self._databases(kept, ports), self._broker(kept))
        filled = environment.filled(self.folder, kept, ports, postgres=place, broker=urls)
        self.environment = os.environ | filled | environment.of_announced(announced) | self._settings
        with environment.applied(self.environment):
            for name in PARTS:
                self.spawn(name)
            staff = await databases.staff()
        await self.ready(seconds=deadline - asyncio.get_running_loop().time())
        self.endpoints = endpoints.of(ports, announced, staff)
        return self.endpoints

    async def _databases(self, kept: StackSecrets, ports: Ports) -> tuple[tuple[str, int], dict[str, Any]]:
        """Bring the databases to this code; return PostgreSQL's place and what the simulators announced."""
        url = "" if self._own_servers else os.environ.get("EBM_POSTGRES_URL")
        server, announced = await asyncio.gather(
            asyncio.to_thread(lambda: PostgresServer.found(url) if url else self.postgres.start()),
            self._announcements(),
        )
        place = (server.host, server.port)
        filled = environment.filled(self.folder, kept, ports, postgres=place, broker=None)
        with environment.applied(os.environ | filled | environment.of_announced(announced) | self._settings):
            await databases.prepare(server.url, kept)
        return place, announced

    async def _broker(self, kept: StackSecrets) -> Mapping[str, str]:
        """Start RabbitMQ; return each service's URL."""
        url = "" if self._own_servers else os.environ.get("EBM_RABBITMQ_URL")
        server = await asyncio.to_thread(lambda: found_by_environment(url) if url else self.rabbitmq.start())
        return await asyncio.to_thread(_broker_users, server, kept)

    def _spawn_simulator(self, name: str, kept: StackSecrets, ports: Ports) -> None:
        told = simulation.told(self.folder, kept, ports, simulation.SMALL)
        log = self.logs / f"{name}.log"
        child = simulation.spawn(told, [name], self.folder / f"{name}.json", log, tied=self._tied)
        self._record(PartProcess(name, child.pid, child.started, str(log)))

    async def _announcements(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in simulation.wanted():
            started = self.processes[name]
            found |= await simulation.announced(started.process, self.folder / f"{name}.json", Path(started.log))
        return found

    def spawn(
        self, part: str, *, name: str = "", crash_points: Mapping[str, Deed | str] | None = None, **settings: str
    ) -> None:
        """Start a part and return at once.

        Args:
            part: Such as ``billing-worker``.
            name: What the process is called here, where several run the same part.
            crash_points: What this process does at which point; needs ``ENVIRONMENT=test``.
            **settings: Variables of this process only.
        """
        member, command = PARTS[part]
        name = name or part
        ops_port = free_port()
        told = self.environment | settings | {f"{member.variables}OPS_PORT": str(ops_port)}
        if crash_points:
            told[f"{member.variables}CRASH_POINTS"] = json.dumps(crash_points)
        self._statuses.pop(name, None)
        log = self.logs / f"{name}.log"
        child = processes.spawn(
            [sys.executable, "-m", member.module, command],
            env=told,
            folder=Path.cwd(),
            log=log,
            tied_by=signal.SIGKILL if self._tied else None,
            on_end=lambda status: self._statuses.__setitem__(name, status),
        )
        unusual = bool(crash_points or settings)
        self._record(PartProcess(name, child.pid, child.started, str(log), f"http://127.0.0.1:{ops_port}", unusual))

    def _record(self, process: PartProcess) -> None:
        running_parts.write(self._register, self.processes | {process.name: process})

    async def start_part(self, part: str, **how: Any) -> None:
        """Start a part as `spawn` does and wait until it is ready."""
        self.spawn(part, **how)
        await self.ready(how.get("name") or part)

    async def ready(self, *names: str, seconds: float = READY_SECONDS) -> None:
        """Wait until the named parts are ready, all that were started unless named; see `running_parts.all_ready`."""
        found = self.processes
        await running_parts.all_ready([found[name] for name in names or found if found[name].ops_url], seconds)

    async def readiness(self, name: str) -> Readiness:
        """Ask a part whether it is ready and what it misses."""
        return await running_parts.readiness(self.processes[name])

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal: SIGKILL, SIGTERM, SIGSTOP, SIGCONT."""
        self.processes[name].process.send(number)

    async def dead(self, name: str, *, seconds: float = 60) -> int:
        """Wait until a process that this object started is dead; return its status, negative for a signal.

        Raises:
            TimeoutError: It still runs.
        """
        async with asyncio.timeout(seconds):
            while name not in self._statuses:  # noqa: ASYNC110 - a thread of its own learns it
                await asyncio.sleep(0.02)
        return self._statuses[name]

    def forget(self, name: str) -> None:
        """Let a process that is dead, and shall not come again, no longer count as one of the stack."""
        running_parts.write(self._register, {key: found for key, found in self.processes.items() if key != name})

    async def mend(self, *, seconds: float = READY_SECONDS) -> list[str]:
        """Make it again what `start` made; return the names of the processes that were not as they should be."""
        await asyncio.to_thread(self.postgres.start)
        await asyncio.to_thread(self.rabbitmq.start)
        found = self.processes
        parts = {name: process for name, process in found.items() if process.ops_url}
        answers = dict(zip(parts, await asyncio.gather(*map(self._sound, parts.values())), strict=True))
        wrong = [name for name, sound in answers.items() if not sound] + [name for name in PARTS if name not in parts]
        for name in wrong:
            if name in found:
                await asyncio.to_thread(found[name].process.end, *AT_ONCE)
                self.forget(name)
            if name in PARTS:
                self.spawn(name)
        await self.ready(seconds=seconds)
        return wrong

    @staticmethod
    async def _sound(part: PartProcess) -> bool:
        if part.unusual or part.name not in PARTS or not part.alive:
            return False
        with contextlib.suppress(RuntimeError, TimeoutError):
            await running_parts.all_ready([part], SOUND_SECONDS)
            return True
        return False

    async def restart_postgres(self, how: signal.Signals = signal.SIGINT) -> None:
        """End PostgreSQL and start it again at its port: SIGINT is «fast», SIGQUIT is «immediate» with recovery."""
        await asyncio.to_thread(self.postgres.stop, how)
        await asyncio.to_thread(self.postgres.start)

    async def rows(self, database: str, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """Return what a query finds as superuser, whom no policy holds back. ``database`` is a member's prefix.

        While PostgreSQL is away it is asked again until `READY_SECONDS` are over; it is never started for that.
        """
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while True:
            try:
                return await self._fetch(database, query, *arguments)
            except (OSError, PostgresConnectionError, CannotConnectNowError, AdminShutdownError, InternalClientError):
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.2)

    async def _fetch(self, database: str, query: str, *arguments: Any) -> list[dict[str, Any]]:
        server = self.postgres.running()
        if server is None:
            raise ConnectionRefusedError("PostgreSQL is stopped")
        connection = await connect(server.url_for(database))
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def end(self, *steps: tuple[signal.Signals, float]) -> int:
        """End the processes and the servers that were started, and no other; return how many processes there were."""
        found = self.processes
        order = sorted(found.values(), key=lambda process: process.name != f"{GATEWAY.name}-api")
        await asyncio.gather(*(asyncio.to_thread(p.process.end, *(steps or STOP_STEPS)) for p in order))
        await asyncio.gather(asyncio.to_thread(self.postgres.stop), asyncio.to_thread(self.rabbitmq.stop))
        self._register.unlink(missing_ok=True)
        return len(found)

    async def remove(self) -> None:
        """Kill what runs and remove all that the stack kept."""
        await self.end(*AT_ONCE)
        await asyncio.to_thread(remove_placed, self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.remove()
            raise
        await asyncio.to_thread(self.rabbitmq.sync_quorum)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.remove()


def _broker_users(server: RabbitServer, kept: StackSecrets) -> Mapping[str, str]:
    """Make each service's broker user, with rights on its own exchange only; return their URLs."""
    urls = {}
    for member in MEMBERS:
        server.add_user(member.name, kept.broker_password, **permissions(member.name))
        urls[member.name] = server.url_for(member.name, kept.broker_password)
    return urls
