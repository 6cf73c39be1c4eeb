"""Requests over a number of kept connections, each sending its next one when it has its answer."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from devstack.bench.measuring import percentile

CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: the seconds of each request, and of all together."""

    latencies: list[float]
    seconds: float
    body_bytes: int = 0
    """How long the last answer was."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    @property
    def p50_ms(self) -> float:
        return percentile(self.latencies, 0.5) * 1000


async def load(url: str, headers: Mapping[str, str], requests: int, *, every: float = 0.0) -> Load:
    """GET a URL so many times.

    Args:
        url: A plain http URL.
        headers: Sent with each request.
        requests: How many in all; each connection sends its share, at least one.
        every: Seconds from one request of a connection to its next; 0 sends without a pause.

    Raises:
        AssertionError: An answer was not 200, or had no length.
    """
    parts = urlsplit(url)
    fields = {"host": parts.netloc, **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    message = f"GET {parts.path} HTTP/1.1\r\n{head}\r\n".encode()
    share = max(1, requests // CONNECTIONS)
    latencies: list[float] = []
    length = 0

    async def connection(number: int) -> None:
        nonlocal length
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            await asyncio.sleep(every * number / CONNECTIONS)
            for _ in range(share):
                began = time.perf_counter()
                writer.write(message)
                length = await _answer(reader)
                latencies.append(time.perf_counter() - began)
                if every:
                    await asyncio.sleep(max(0.0, began + every - time.perf_counter()))
        finally:
            writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(connection(number))
    return Load(latencies, time.perf_counter() - began, length)


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read one answer; return the length of its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    lengths = [line.partition(":")[2] for line in head if line.lower().startswith("content-length:")]
    assert lengths, f"an answer without a length: {head}"
    body = await reader.readexactly(int(lengths[0]))
    assert head[0].split()[1] == "200", f"{head[0]} {body[:500]!r}"
    return len(body)
