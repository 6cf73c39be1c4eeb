"""HTTP servers as parts: a service's API, and the internal port with health and metrics."""

import asyncio
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from common.parts import Check
from common.web.protocol import StrictProtocol

CHECK_SECONDS = 3.0
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than the 60 s of load balancers, so that we never close one in use."""
DRAIN_SECONDS = 20
"""How long requests in hand may take to finish after SIGTERM."""


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the process's launcher owns them."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield


class HttpPart:
    """Serves an ASGI application on one address.

    Args:
        name: Name of the part.
        app: The application.
        host: Address to bind.
        port: Port to bind when run; 0 takes a free one, which `port` tells.
    """

    def __init__(self, name: str, app: ASGIApp, host: str, port: int) -> None:
        self.name = name
        self._app = app
        self.host = host
        self._wanted_port = port
        self._socket: socket.socket | None = None

    def _bound(self) -> socket.socket:
        """Bind on first use: a process that does not run this part leaves its port to the one that does."""
        if self._socket is None:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.bind((self.host, self._wanted_port))
        return self._socket

    @property
    def port(self) -> int:
        """The port, which asking for it reserves."""
        bound: int = self._bound().getsockname()[1]
        return bound

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}"

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Serve until ``stop``; requests in hand finish first."""
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="on",
            http=StrictProtocol,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            h11_max_incomplete_event_size=65536,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[self._bound()]), name=self.name)
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        if serving.done():
            serving.result()
            raise RuntimeError(f"{self.name} did not start")
        ready()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
        await serving


async def _failure(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


def ops_app(checks: Mapping[str, Check]) -> Starlette:
    """Return ``/healthz`` (the process lives), ``/readyz`` (which dependency is missing) and ``/metrics``."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        found = dict(zip(checks, await asyncio.gather(*map(_failure, checks.values())), strict=True))
        missing = {name: reason for name, reason in found.items() if reason is not None}
        body = {"status": "unready" if missing else "ready", "missing": missing, "checked": sorted(found)}
        return JSONResponse(body, status_code=503 if missing else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


class OpsPart(HttpPart):
    """The internal port of a part.

    Args:
        checks: Dependencies by name.
        host: Address to bind; never one that customers reach.
        port: Port to bind.
    """

    def __init__(self, checks: Mapping[str, Check], host: str, port: int) -> None:
        super().__init__("ops", ops_app(checks), host, port)
