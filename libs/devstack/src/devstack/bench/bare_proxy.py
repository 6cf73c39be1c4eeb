"""``python -m devstack.bench.bare_proxy PORT SERVICE``: passes everything on by the gateway's server and client.

It checks, limits, signs, traces and logs nothing: no gateway in Python can cost less than this.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import uvicorn
from starlette.types import Receive, Scope, Send
from yarl import URL

from devstack.servers.ports import free_port
from devstack.servers.processes import wait_until

START_SECONDS = 30.0


class BareProxy:
    """An ASGI application; SERVICE is a base URL without a slash at its end."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._client: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request without a body."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        await receive()
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"] if name != b"host"]
        target = URL(self._service + scope["raw_path"].decode(), encoded=True)
        async with self._client.request(scope["method"], target, headers=headers) as answer:
            returning = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() != b"connection"]
            await send({"type": "http.response.start", "status": answer.status, "headers": returning})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


@contextmanager
def bare_proxy(service: str) -> Iterator[str]:
    """Run one before a service for the block; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "devstack.bench.bare_proxy", str(port), service]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        if not wait_until(lambda: child.poll() is not None or answers(port), START_SECONDS) or child.poll() is not None:
            raise RuntimeError("the bare proxy did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(30)


def answers(port: int) -> bool:
    """Tell whether something listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    uvicorn.run(
        BareProxy(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        lifespan="off", access_log=False, log_level="error",
    )  # fmt: skip
