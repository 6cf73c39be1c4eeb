"""Which addresses may be dialled, and that only the pinned certificate is spoken to."""

import asyncio
import ipaddress
import socket

import pytest
from backup_engine.adapters.vsphere.dialer import Dialer, DialPolicy, PinnedHost
from backup_engine.errors.hypervisor import CertificateChanged, CertificateUntrusted, HostNotAllowed, HostUnreachable

DEVELOPMENT = DialPolicy(allow_loopback=True)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::ffff:169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "10.96.0.1",
        "10.244.3.7",
        "10.43.0.1",
        "::127.0.0.1",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "fec0::1",
    ],
)
def test_metadata_loopback_link_local_and_cluster_addresses_are_refused_by_default(address: str) -> None:
    assert not DialPolicy().allows(ipaddress.ip_address(address))
    # What a deployment refuses besides takes nothing away from it.
    assert not DialPolicy(deny=["203.0.113.0/24"]).allows(ipaddress.ip_address(address))


@pytest.mark.parametrize("name", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost", "2852039166"])
async def test_a_name_is_judged_by_the_address_that_it_resolves_to(name: str) -> None:
    with pytest.raises(HostNotAllowed):
        await Dialer(DialPolicy()).addresses(name, 443)


@pytest.mark.parametrize("address", ["192.168.1.20", "10.1.2.3", "203.0.113.5", "2001:db8::5", "fd12:3456::1"])
def test_addresses_of_sites_and_the_public_are_allowed_by_default(address: str) -> None:
    assert DialPolicy().allows(ipaddress.ip_address(address))


def test_an_allow_list_excludes_all_else_and_a_deny_list_wins_over_it() -> None:
    policy = DialPolicy(allow=["10.1.0.0/16", "169.254.0.0/16"], deny=["10.1.9.0/24"])
    allowed = [a for a in ("10.1.2.3", "10.1.9.3", "10.2.0.1", "169.254.1.1") if policy.allows(ipaddress.ip_address(a))]
    assert allowed == ["10.1.2.3"]


def test_loopback_is_allowed_only_by_the_setting_for_development() -> None:
    assert DEVELOPMENT.allows(ipaddress.ip_address("127.0.0.1"))
    assert not DialPolicy(allow=["127.0.0.0/8"]).allows(ipaddress.ip_address("127.0.0.1"))


async def test_first_use_reports_the_certificate_that_was_seen(tls_server) -> None:
    async with tls_server() as (port, digest, _):
        pinned = await Dialer(DEVELOPMENT).dial("127.0.0.1", port, None)
    assert pinned == PinnedHost("127.0.0.1", port, "127.0.0.1", digest)


async def test_a_known_certificate_is_accepted_however_its_thumbprint_is_written(tls_server) -> None:
    async with tls_server() as (port, digest, _):
        with_colons = ":".join(digest[at : at + 2] for at in range(0, 64, 2)).upper()
        for written in (digest, digest.upper(), with_colons):
            assert (await Dialer(DEVELOPMENT).dial("127.0.0.1", port, written)).thumbprint == digest


@pytest.mark.invariant("D28")
async def test_another_certificate_stops_everything_before_a_byte_is_sent(tls_server) -> None:
    async with tls_server() as (port, digest, heard):
        with pytest.raises(CertificateChanged) as refused:
            await Dialer(DEVELOPMENT).dial("127.0.0.1", port, "0" * 64)
        later = PinnedHost("127.0.0.1", port, "127.0.0.1", "0" * 64)
        with pytest.raises(CertificateChanged):
            await asyncio.to_thread(later.connect)
    assert refused.value.fields == {"host": "127.0.0.1", "expected": "0" * 64, "seen": digest}
    assert b"".join(heard) == b""


async def test_a_name_is_resolved_once_and_never_again(tls_server, monkeypatch) -> None:
    async with tls_server() as (port, _, _):
        pinned = await Dialer(DEVELOPMENT).dial("localhost", port, None)

        def resolve(*_: object, **__: object) -> None:
            raise AssertionError("resolved again")

        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: _literal_only(host, rest, more))
        connection = await asyncio.to_thread(pinned.connect)
        connection.close()
    assert pinned.address == "127.0.0.1"


_real_getaddrinfo = socket.getaddrinfo


def _literal_only(host: str, rest: tuple, more: dict) -> object:
    ipaddress.ip_address(host)
    return _real_getaddrinfo(host, *rest, **more)


async def test_a_host_whose_every_address_is_out_of_bounds_is_not_connected_to() -> None:
    with pytest.raises(HostNotAllowed):
        await Dialer(DialPolicy()).dial("localhost", 443, None)


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(HostUnreachable, match="does not resolve"):
        await Dialer(DialPolicy()).dial("no-such-host.invalid", 443, None)


async def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(HostUnreachable, match="refused"):
            await Dialer(DEVELOPMENT).dial("127.0.0.1", unused.getsockname()[1], None)


async def test_a_port_that_speaks_no_tls_is_not_trusted() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 not TLS at all\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        with pytest.raises(CertificateUntrusted):
            await Dialer(DEVELOPMENT).dial("127.0.0.1", server.sockets[0].getsockname()[1], None)
