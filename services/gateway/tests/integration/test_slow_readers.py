"""A client that asks for a large download and does not read it: what the gateway holds of it meanwhile."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from common.ids import uuid7
from gateway.testing import Upstream
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

pytestmark = pytest.mark.integration
MIB = 1 << 20
PIECE = b"x" * (1 << 16)
PIECES = 1024
MOST_HELD = MIB
LARGE = "/api/backup-jobs/large/"


class Large(Upstream):
    """A service with a download of 64 MiB, which counts what it could hand on."""

    handed = 0

    async def large(self, request: Request) -> Response:
        await self.note(request)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(PIECES):
                yield PIECE
                self.handed += len(PIECE)

        return StreamingResponse(pieces(), headers={"content-length": str(PIECES * len(PIECE))})

    def app(self, *more: Route):
        return super().app(Route(LARGE, self.large), *more)


@pytest.fixture
def upstream_class() -> type[Upstream]:
    return Large


def queued(port: int) -> int:
    """Bytes that the kernel holds of connections to a port of this machine, sent or not yet read (proc(5))."""
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if port in {int(end.rpartition(":")[2], 16) for end in (local, remote)}:
            found += sum(int(queue, 16) for queue in queues.split(":"))
    return found


async def standing(stack) -> int:
    """What the service could hand on, when that grows no more."""
    last = -1
    async with asyncio.timeout(20):
        while last != stack.engine.handed or last == 0:
            last = stack.engine.handed
            await asyncio.sleep(0.5)
    return last


@pytest.mark.invariant("S98")
async def test_of_a_download_that_nobody_reads_the_gateway_holds_a_mebibyte_at_most(stack) -> None:
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    lazy.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(lazy, ("127.0.0.1", stack.port))
    bearer = stack.tenancy.headers(tenant=uuid7())["authorization"]
    head = f"GET {LARGE} HTTP/1.1\r\nHost: gateway\r\nAuthorization: {bearer}\r\n\r\n"
    await loop.sock_sendall(lazy, head.encode())
    handed = await standing(stack)
    service_port = int(stack.settings.backup_engine_url.rpartition(":")[2])
    held = handed - queued(service_port) - queued(stack.port)
    assert 0 < held < MOST_HELD, f"{held / MIB:.2f} MiB"
    # Whoever reads on gets it whole.
    got = 0
    async with asyncio.timeout(60):
        while got < PIECES * len(PIECE):
            got += len(await loop.sock_recv(lazy, MIB))
    lazy.close()
