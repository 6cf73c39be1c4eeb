"""``make up`` and ``make down``: one process per part and per simulator, RabbitMQ between them.

Everything that was started is in ``.devstack/up/running.json`` with its pid and start time, so that ``down`` ends
those processes and no others, and a second ``up`` sees that all of them still run.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from common.messaging.rabbitmq import permissions

from devstack import databases, endpoints, environment, simulation
from devstack.endpoints import ROOT
from devstack.environment import Environment, Ports
from devstack.members import GATEWAY, MEMBERS, WITH_DATABASE, Member
from devstack.secrets import StackSecrets
from devstack.servers.errors import ServerError
from devstack.servers.ports import free_port
from devstack.servers.postgres import EmbeddedPostgres, PostgresServer
from devstack.servers.processes import Process
from devstack.servers.rabbitmq import RabbitNode, RabbitServer, found_by_environment

FOLDER = ROOT / "up"
RUNNING = FOLDER / "running.json"
LOGS = FOLDER / "logs"
READY_SECONDS = 110.0
"""Everything together has 120 s; what is left over is for saying why it failed."""

STOP_STEPS = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 5.0))
"""A part stops taking and finishes or hands back; one that does not end is ended."""


@dataclass(frozen=True)
class PartProcess:
    """One started process.

    Attributes:
        name: Such as ``billing-worker``.
        pid: Its process id.
        started: Its start time as the kernel tells it, so that a reused pid is not mistaken for it.
        ready_url: Where it says whether it is ready; empty for a simulator, which announces itself.
    """

    name: str
    pid: int
    started: int | None
    ready_url: str = ""


@dataclass(frozen=True)
class _Servers:
    postgres: PostgresServer
    rabbitmq: RabbitServer


def _read() -> list[PartProcess]:
    if not RUNNING.exists():
        return []
    return [PartProcess(**entry) for entry in json.loads(RUNNING.read_text())]


def _write(processes: list[PartProcess]) -> None:
    RUNNING.parent.mkdir(parents=True, exist_ok=True)
    partial = RUNNING.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(process) for process in processes], indent=1))
    partial.replace(RUNNING)


def _lives(process: PartProcess) -> bool:
    return Process(process.pid, process.started).alive


async def up() -> int:
    """Start what is missing; return 0 only when every part is ready."""
    before = _read()
    if before and all(map(_lives, before)):
        sys.stdout.write(f"already up: {len(before)} processes, gateway {endpoints.read()['gateway']}\n")
        return 0
    if before:
        await down()
    try:
        async with asyncio.timeout(READY_SECONDS):
            found = await _start()
    except (TimeoutError, RuntimeError, OSError, ServerError, SystemExit) as error:
        await down()
        sys.stderr.write(f"not up: {str(error) or 'not ready in time'}\nlogs are in {LOGS}\n")
        return 1
    sys.stdout.write(f"up: {len(_read())} processes, gateway {found['gateway']}, endpoints in {endpoints.PATH}\n")
    return 0


async def _start() -> dict[str, Any]:
    LOGS.mkdir(parents=True, exist_ok=True)
    kept = StackSecrets.kept_in(FOLDER / "secrets.json")
    ports = Ports.chosen()
    environment.announce_simulators()
    simulators = [_spawn_simulator(name, kept, ports) for name in simulation.wanted()]
    _write([process for process, _announce in simulators])
    servers, announced = await asyncio.gather(_servers(), _announcements(simulators))
    urls = await asyncio.to_thread(_broker_users, servers.rabbitmq, kept)
    place = (servers.postgres.host, servers.postgres.port)
    filled = environment.filled(FOLDER, kept, ports, postgres=place, broker=urls)
    os.environ.update(filled | environment.of_announced(announced))
    await databases.prepare(servers.postgres.url, kept)
    parts = [_spawn_part(member, part) for member in MEMBERS for part in member.parts]
    _write([*(process for process, _announce in simulators), *parts])
    staff = await databases.staff()
    await _all_ready(parts)
    return endpoints.write(ports, announced, staff)


async def _servers() -> _Servers:
    postgres, rabbitmq = await asyncio.gather(asyncio.to_thread(_postgres), asyncio.to_thread(_rabbitmq))
    return _Servers(postgres, rabbitmq)


def _postgres() -> PostgresServer:
    if url := os.environ.get("EBM_POSTGRES_URL"):
        return PostgresServer.found(url)
    return EmbeddedPostgres(FOLDER / "postgres", tied=False).start()


def _rabbitmq() -> RabbitServer:
    if url := os.environ.get("EBM_RABBITMQ_URL"):
        return found_by_environment(url)
    return RabbitNode(FOLDER / "rabbitmq", tied=False).start()


def _broker_users(server: RabbitServer, kept: StackSecrets) -> Mapping[str, str]:
    """Make each service's broker user, with rights on its own exchange only; return their URLs."""
    urls = {}
    for member in WITH_DATABASE:
        server.add_user(member.name, kept.broker_password, **permissions(member.name))
        urls[member.name] = server.url_for(member.name, kept.broker_password)
    return urls


def _spawn_simulator(name: str, kept: StackSecrets, ports: Ports) -> tuple[PartProcess, Path]:
    announce = FOLDER / f"{name}.json"
    configuration = simulation.told(FOLDER, kept, ports, simulation.SMALL)
    child = simulation.spawn(configuration, [name], announce, LOGS / f"{name}.log", start_new_session=True)
    return _recorded(name, child), announce


async def _announcements(simulators: list[tuple[PartProcess, Path]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for process, announce in simulators:
        while not announce.exists():
            if not _lives(process):
                raise RuntimeError(f"the simulator {process.name} ended while starting:\n{_tail(process.name)}")
            await asyncio.sleep(0.05)
        found |= json.loads(announce.read_text())
    return found


def _spawn_part(member: Member, part: str) -> PartProcess:
    name = f"{member.name}-{part}"
    ops_port = free_port()
    told: Environment = os.environ | {f"{member.variables}OPS_PORT": str(ops_port)}
    with (LOGS / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", member.module, part],
            env=told,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _recorded(name, child, f"http://127.0.0.1:{ops_port}/readyz")


def _recorded(name: str, child: "subprocess.Popen[bytes]", ready_url: str = "") -> PartProcess:
    process = Process.of(child.pid)
    return PartProcess(name, child.pid, process.started, ready_url)


async def _all_ready(parts: list[PartProcess]) -> None:
    missing = {part.name: "no answer yet" for part in parts}
    async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
        try:
            while missing:
                for part in parts:
                    if part.name in missing:
                        await _look(http, part, missing)
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            sys.stderr.write(f"not ready: {json.dumps(missing, indent=1)}\n")
            raise


async def _look(http: httpx.AsyncClient, part: PartProcess, missing: dict[str, str]) -> None:
    if not _lives(part):
        raise RuntimeError(f"{part.name} ended while starting:\n{_tail(part.name)}")
    try:
        answer = await http.get(part.ready_url)
    except httpx.HTTPError as error:
        missing[part.name] = type(error).__name__
        return
    if answer.status_code == httpx.codes.OK:
        del missing[part.name]
    else:
        missing[part.name] = answer.text


def _tail(name: str, lines: int = 15) -> str:
    path = LOGS / f"{name}.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"


async def down() -> int:
    """End the parts and the servers that `up` started, and no other."""
    processes = _read()
    order = sorted(processes, key=lambda process: process.name != GATEWAY.name + "-api")
    await asyncio.gather(*(asyncio.to_thread(Process(p.pid, p.started).end, *STOP_STEPS) for p in order))
    await asyncio.gather(
        asyncio.to_thread(EmbeddedPostgres(FOLDER / "postgres", tied=False).stop),
        asyncio.to_thread(RabbitNode(FOLDER / "rabbitmq", tied=False).stop),
    )
    RUNNING.unlink(missing_ok=True)
    if processes:
        endpoints.forget()
    sys.stdout.write(f"down: {len(processes)} processes ended\n" if processes else "nothing was up\n")
    return 0


def logs() -> int:
    """Follow the logs of what `up` started until interrupted."""
    running = [process.name for process in _read() if _lives(process)]
    if not running:
        sys.stderr.write(f"nothing runs that `make up` started; older logs are in {LOGS}\n")
        return 1
    files = sorted(str(LOGS / f"{name}.log") for name in running)
    return subprocess.call(["tail", "-n", "20", "-F", *files])
