"""Identity providers that answer without end or without hurry: whoever is asked takes neither memory nor time from us."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
from common.ids import uuid7
from tenancy.adapters import oidc
from tenancy.adapters.oidc import LARGEST_ANSWER, OidcProviders
from tenancy.adapters.public_addresses import PublicAddressesOnly
from tenancy.domain.sso import Connection
from tenancy.errors import ProviderUnavailable

pytestmark = pytest.mark.integration

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
MOST = 64 * 1024 * 1024


@asynccontextmanager
async def provider(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Connection]:
    """A provider that answers every question alike."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await answer(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield Connection(uuid7(), f"http://127.0.0.1:{port}", "us", "secret")


async def begin(connection: Connection) -> str:
    providers = OidcProviders(partial(PublicAddressesOnly, allow_loopback=True))
    return await providers.authorization_url(
        connection, state="s", nonce="n", verifier="v" * 43, redirect_uri="https://a.example"
    )


async def test_an_answer_without_end_is_left_alone() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"\r\n")
        while sent < MOST:
            writer.write(b" " * LARGEST_ANSWER)
            await writer.drain()
            sent += LARGEST_ANSWER

    async with provider(endless) as connection:
        with pytest.raises(ProviderUnavailable):
            await begin(connection)
    assert sent < MOST / 2


async def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "SECONDS", 0.2)
    sent = 0

    async def dripping(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"\r\n")
        while sent < 100:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)
            sent += 1

    async with provider(dripping) as connection:
        with pytest.raises(ProviderUnavailable):
            await begin(connection)
    assert sent < 50


async def test_what_nobody_can_read_is_no_answer() -> None:
    async def deep(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"\r\n" + b"[" * (LARGEST_ANSWER - 1))
        await writer.drain()

    async with provider(deep) as connection:
        with pytest.raises(ProviderUnavailable):
            await begin(connection)
