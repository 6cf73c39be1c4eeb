"""Run an ASGI application on a loopback port inside the caller's event loop, and the small programs around it.

Here: `serve`, background work that is always awaited, the map from public addresses to local ones, command lines.
Not here: faults and recording (`faults.py`), and anything of one provider.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

log = logging.getLogger(__name__)

STOP_SECONDS = 2
"""How long open connections may finish when a simulator stops."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process belongs to whoever started the simulator."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Running:
    """A simulator that answers at `url` (no trailing slash) until `stop` has returned."""

    host: str
    port: int
    scheme: str
    _server: uvicorn.Server
    _task: "asyncio.Task[None]"
    _on_stop: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def on_stop(self, action: Callable[[], Awaitable[None]]) -> None:
        """Also await `action` on stop, before the port closes."""
        self._on_stop.append(action)

    async def stop(self) -> None:
        """Close the port and await all that runs; a second call does nothing."""
        while self._on_stop:
            await self._on_stop.pop()()
        self._server.should_exit = True
        await self._task


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    ssl_certfile: str | None = None,
    ssl_keyfile: str | None = None,
    keep_alive: int = 5,
) -> Running:
    """Listen on `host:port` (0: any free port) and return when connections are accepted.

    Idle connections are closed after `keep_alive` seconds.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.create_server((host, port), backlog=512)
    # Inherited by every connection; asyncio sets it itself only where the socket names its protocol. Without it each
    # answer (header and body are two writes) waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        interface="asgi3",
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
        timeout_keep_alive=keep_alive,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name=f"simulator {host}:{port}")
    while not server.started:
        if task.done():
            task.result()
            raise OSError(f"the simulator on {host}:{port} ended while starting")
        await asyncio.sleep(0.005)
    return Running(host, listener.getsockname()[1], "https" if ssl_certfile else "http", server, task)


class Background:
    """Tasks that outlive the request which began them; `stop` cancels and awaits every one."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start `work`; a failure of it is logged with its stack, never lost."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s failed", task.get_name(), exc_info=task.exception())

    async def stop(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class UrlMap:
    """Public addresses that providers are told, and the loopback addresses where they are really served."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._pairs: dict[str, str] = {}
        self.update(pairs)

    def update(self, pairs: Mapping[str, str]) -> None:
        """Add or replace entries; a trailing slash makes no difference."""
        self._pairs.update({public.rstrip("/"): local.rstrip("/") for public, local in pairs.items()})

    def local(self, url: str) -> str:
        """The address to call instead of `url`; `url` itself where no entry covers it."""
        for public, local in self._pairs.items():
            if url == public or url.startswith((f"{public}/", f"{public}?")):
                return local + url[len(public) :]
        return url


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the options that every simulator has."""
    spec = sys.modules["__main__"].__spec__  # None where it is no module that was run by name
    parser = argparse.ArgumentParser(prog=f"python -m {spec.parent}" if spec else None, description=description)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    parser.add_argument("--announce", type=Path, help="write addresses and credentials to this file as JSON when ready")
    return parser


def add_map_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--map PUBLIC=LOCAL`, which may be repeated."""
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="PUBLIC=LOCAL",
        help="call LOCAL for addresses under PUBLIC, e.g. https://backup.example=http://127.0.0.1:8000 (repeatable)",
    )


def parsed_map(entries: Sequence[str]) -> dict[str, str]:
    """`--map` values as a dictionary.

    Raises:
        SystemExit: an entry has no equals sign between two addresses.
    """
    pairs = {}
    for entry in entries:
        public, sign, local = entry.partition("=")
        if not (sign and public and local):
            raise SystemExit(f"--map needs PUBLIC=LOCAL, not {entry!r}")
        pairs[public] = local
    return pairs


def run(start: Callable[[], Awaitable[tuple[Running, dict[str, Any]]]], announce: Path | None) -> None:
    """Run one simulator as a program until SIGINT or SIGTERM; what it announces goes to the file or to stdout."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(_run(start, announce))


async def _run(start: Callable[[], Awaitable[tuple[Running, dict[str, Any]]]], announce: Path | None) -> None:
    running, facts = await start()
    text = json.dumps(facts, indent=2) + "\n"
    if announce is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        # Renamed into place, so that a reader that waits for the file never sees half of it.
        partial = announce.with_name(announce.name + ".partial")
        partial.write_text(text)
        partial.replace(announce)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await running.stop()
