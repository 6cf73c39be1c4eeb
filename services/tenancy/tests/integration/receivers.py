"""Servers of customers, on the loopback: they keep what they were sent, and answer as a test wants."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Request:
    """What one connection brought."""

    line: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """The message, as the specification's own verifier reads it."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[asyncio.StreamWriter, Request], Awaitable[None]]


@dataclass
class Receiver:
    """One server; `answers` are used up one by one, the last one for ever."""

    answers: list[Answer]
    got: list[Request] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/in"

    @property
    def ids(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.got]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in fields}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Request(head[0], headers, body)
            self.got.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            await answer(writer, request)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


def status(code: int, *fields: str, body: bytes = b"ok") -> Answer:
    """An answer at once."""

    async def answer(writer: asyncio.StreamWriter, _request: Request) -> None:
        head = [f"HTTP/1.1 {code} Answer", f"content-length: {len(body)}", "connection: close", *fields]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    return answer


def after(seconds: float, then: Answer) -> Answer:
    """An answer that comes late."""

    async def answer(writer: asyncio.StreamWriter, request: Request) -> None:
        await asyncio.sleep(seconds)
        await then(writer, request)

    return answer


@asynccontextmanager
async def receiver(
    *answers: Answer, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A server for as long as the block lasts; without answers it says 204."""
    made = Receiver(list(answers) or [status(204, body=b"")], host=host)
    server = await asyncio.start_server(made.serve, host, 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
