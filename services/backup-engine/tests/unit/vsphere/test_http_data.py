"""Transfers with a pinned host: nothing is followed, nothing hangs, the fence stops them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from backup_engine.adapters.vsphere import http_data
from backup_engine.adapters.vsphere.dialer import PinnedHost
from backup_engine.adapters.vsphere.http_data import HttpData
from backup_engine.errors.hypervisor import CertificateChanged, HostUnreachable
from backup_engine.ports.hypervisor import no_fence


@pytest.fixture
async def http() -> AsyncIterator[HttpData]:
    data = HttpData(no_fence)
    yield data
    await data.close()


def pinned(port: int, digest: str) -> PinnedHost:
    return PinnedHost("esxi.example", port, "127.0.0.1", digest)


def answering(answer: bytes, heard: list[bytes]):
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        await asyncio.sleep(0)

    return handle


async def test_the_dialled_address_is_connected_to_under_the_hosts_name(tls_server, http) -> None:
    heard: list[bytes] = []
    handler = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", heard)
    async with (
        tls_server(handler) as (port, digest, _),
        http.request("GET", pinned(port, digest), "/a%231?x=%25", headers={"Cookie": "k=v"}) as answer,
    ):
        assert b"".join([piece async for piece in http.pieces(answer, "esxi")]) == b"ok"
    head = heard[0].decode().split("\r\n")
    assert head[0] == "GET /a%231?x=%25 HTTP/1.1"
    assert {f"Host: esxi.example:{port}", "Cookie: k=v"} <= set(head)


async def test_a_redirect_is_an_answer_and_is_not_followed(tls_server, http) -> None:
    answer_bytes = b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/elsewhere\r\nContent-Length: 0\r\n\r\n"
    heard: list[bytes] = []
    async with (
        tls_server(answering(answer_bytes, heard)) as (port, digest, _),
        http.request("GET", pinned(port, digest), "/", headers={}) as answer,
    ):
        assert answer.status == 302
    assert len(heard) == 1


@pytest.mark.invariant("D28")
async def test_data_is_not_exchanged_with_another_certificate(tls_server, http) -> None:
    heard: list[bytes] = []
    async with tls_server(answering(b"", heard)) as (port, _, _):
        with pytest.raises(CertificateChanged):
            async with http.request("GET", pinned(port, "00" * 32), "/", headers={"Cookie": "secret"}):
                pass
    assert heard == []


async def test_a_host_that_stops_taking_an_upload_is_given_up(tls_server, http, monkeypatch) -> None:
    monkeypatch.setattr(http_data, "IDLE_SECONDS", 0.3)

    async def deaf(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(30)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    async with tls_server(deaf) as (port, digest, _):
        with pytest.raises(HostUnreachable, match="nothing moved in time"):
            async with http.request("POST", pinned(port, digest), "/", headers={}, body=endless()):
                pass


async def test_a_slow_source_of_an_upload_is_not_the_hosts_fault(tls_server, http, monkeypatch) -> None:
    monkeypatch.setattr(http_data, "IDLE_SECONDS", 0.1)

    async def taking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def slow() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b"x"
            await asyncio.sleep(0.3)

    async with (
        tls_server(taking) as (port, digest, _),
        http.request("POST", pinned(port, digest), "/", headers={}, body=slow()) as answer,
    ):
        assert answer.status == 200


@pytest.mark.invariant("D73")
async def test_the_fence_stops_a_transfer_between_two_pieces(tls_server) -> None:
    class Over(Exception):
        pass

    passes = 2

    def fence() -> None:
        nonlocal passes
        passes -= 1
        if passes < 0:
            raise Over

    body = b"".join(b"%x\r\n%s\r\n" % (70_000, b"x" * 70_000) for _ in range(20)) + b"0\r\n\r\n"
    guarded, heard = HttpData(fence), []
    async with tls_server(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body, heard)) as (
        port,
        digest,
        _,
    ):
        with pytest.raises(Over):
            async with guarded.request("GET", pinned(port, digest), "/", headers={}) as answer:
                async for _ in guarded.pieces(answer, "esxi"):
                    await asyncio.sleep(0)
    await guarded.close()
