import asyncio
from contextlib import asynccontextmanager

import pytest
from devstack.bench.load import CONNECTIONS, Load, load

pytestmark = pytest.mark.integration


@asynccontextmanager
async def answering(*heads):
    """A server that answers each request of a connection with the next of these heads, the last one again and again."""
    seen = []

    async def serve(reader, writer):
        left = list(heads)
        try:
            while True:
                seen.append(await reader.readuntil(b"\r\n\r\n"))
                head = left.pop(0) if len(left) > 1 else left[0]
                writer.write(head.encode() + b"\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


async def test_every_request_is_sent_and_timed():
    async with answering("HTTP/1.1 200 OK") as (url, seen):
        found = await load(f"{url}/x", {"a": "b"}, 3 * CONNECTIONS)
    assert len(found.latencies) == len(seen) == 3 * CONNECTIONS
    assert all(b"GET /x HTTP/1.1\r\n" in request and b"\r\na: b\r\n" in request for request in seen)


async def test_one_refused_request_spoils_the_measurement():
    async with answering("HTTP/1.1 200 OK", "HTTP/1.1 429 Too Many Requests") as (url, _seen):
        with pytest.raises(ExceptionGroup) as spoilt:
            await load(f"{url}/x", {}, 2 * CONNECTIONS)
    assert all("429" in str(error) for error in spoilt.value.exceptions)


async def test_a_pace_is_kept():
    async with answering("HTTP/1.1 200 OK") as (url, _seen):
        found = await load(f"{url}/x", {}, 4 * CONNECTIONS, every=0.1)
    assert found.seconds >= 0.3


def test_the_rate_counts_answers_over_all_the_time():
    assert Load([0.1, 0.2, 0.3], 1.5).rate == 2
    assert Load([0.1, 0.2, 0.3], 1.5).p50_ms == 200
