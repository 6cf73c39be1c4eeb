"""All parts in this process: embedded PostgreSQL and the simulators are its children, the broker is in memory.

The parts are the very ones that run apart elsewhere; none knows. ``make demo`` and ``make dev`` run here.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from common.messaging.in_process import InProcessBroker
from common.parts import Service, run
from common.settings import load
from common.telemetry import logs
from common.web import OpsPart

from devstack import databases, endpoints, environment, simulation
from devstack.environment import Ports
from devstack.members import MEMBERS
from devstack.secrets import StackSecrets
from devstack.servers.postgres import postgres

T = TypeVar("T")

Build = Callable[..., Awaitable[Service]]

STOP_SECONDS = 30.0
READY_SECONDS = 60.0


@dataclass
class OneProcess:
    """A running stack of one process."""

    endpoints: dict[str, Any]
    folder: Path
    stop: asyncio.Event

    async def until_stopped(self, playing: Coroutine[Any, Any, T]) -> T:
        """Play something on the stack to its end.

        Raises:
            KeyboardInterrupt: Ctrl-C came first; the parts, who get it too, are going down.
        """
        task, stopped = asyncio.ensure_future(playing), asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise KeyboardInterrupt
        finally:
            for left in (task, stopped):
                left.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)


@asynccontextmanager
async def stack(
    folder: Path,
    *,
    machine: dict[str, Any],
    keep: bool,
    say: Callable[[str], None],
    log: Path | None = None,
    builders: Mapping[str, Build] | None = None,
) -> AsyncIterator[OneProcess]:
    """Run everything until the block ends; leave nothing running.

    Args:
        folder: Data of this stack; removed before and after unless ``keep``.
        machine: The simulated machine.
        keep: Whether databases and vaults outlive this run.
        say: Told what has just been done.
        log: Where the parts' logs go; stdout unless given.
        builders: Who makes a service, by its name, where not its own bootstrap.
    """
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    kept = StackSecrets.kept_in(folder / "secrets.json")
    ports = Ports.chosen()
    environment.announce_simulators()
    async with AsyncExitStack() as exits:
        if not keep:
            exits.callback(shutil.rmtree, folder, ignore_errors=True)
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            logs.configure("stack", os.environ.get("LOG_LEVEL", "INFO"), stream=exits.enter_context(log.open("w")))
        else:
            logs.configure("stack", os.environ.get("LOG_LEVEL", "INFO"))
        child = simulation.spawn(
            simulation.told(folder, kept, ports, machine), simulation.wanted(), folder / "simulators.json", log
        )
        exits.push_async_callback(asyncio.to_thread, child.end, (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
        server = await asyncio.to_thread(exits.enter_context, postgres(folder / "postgres", throw_away=not keep))
        say(f"PostgreSQL {server.version} at {server.host}:{server.port}")
        announced = await simulation.announced(child, folder / "simulators.json", log)
        say(f"simulators: {', '.join(sorted(announced))}")
        filled = environment.filled(folder, kept, ports, postgres=(server.host, server.port), broker=None)
        os.environ.update(filled | environment.of_announced(announced))
        await databases.prepare(server.url, kept)
        say("databases migrated, plans seeded")
        staff = await databases.staff()
        async with _services(builders or {}) as stop:
            found = endpoints.write(endpoints.of(ports, announced, staff))
            exits.callback(endpoints.forget)
            say(f"every part is ready; the gateway is at {found['gateway']}")
            yield OneProcess(found, folder, stop)


@asynccontextmanager
async def _services(builders: Mapping[str, Build]) -> AsyncIterator[asyncio.Event]:
    """Build every service around one broker, run their parts, and take them down in the end."""
    broker = InProcessBroker()
    services: list[Service] = []
    stop, ready = asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as exits:
        for member in MEMBERS:
            build = builders.get(member.name, member.build)
            service = await build(load(member.settings), broker)
            exits.push_async_callback(service.close)
            services.append(service)
        checks = {
            f"{service.name}.{name}": check
            for service in services
            for part in service.parts
            for name, check in service.checks_of(part).items()
        }
        ops = OpsPart(checks, "127.0.0.1", int(os.environ.get("OPS_PORT") or 0))
        parts = [part for service in services for part in service.parts.values()]
        running = asyncio.create_task(run([*parts, ops], stop=stop, on_ready=ready.set), name="parts")
        try:
            await _first(ready, running)
            await _all_ready(ops.url, running)
            yield stop
        finally:
            stop.set()
            async with asyncio.timeout(STOP_SECONDS):
                await running


async def _first(ready: asyncio.Event, running: "asyncio.Task[None]") -> None:
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED, timeout=READY_SECONDS)
    waiting.cancel()
    if running.done():
        running.result()
    if not ready.is_set():
        raise TimeoutError(f"not every part was ready within {READY_SECONDS:.0f} s")


async def _all_ready(ops_url: str, running: "asyncio.Task[None]") -> None:
    answer = None
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http, asyncio.timeout(READY_SECONDS):
        while not running.done():
            with suppress(httpx.HTTPError):
                answer = await http.get(f"{ops_url}/readyz")
                if answer.status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"not ready: {answer.text if answer else 'no answer'}")
