"""What customers name is spoken to only where it is somebody else's, by the address that was looked at, as its name."""

import asyncio
import datetime as dt
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tenancy.adapters import public_addresses
from tenancy.adapters.public_addresses import AddressRefused, DnsAddresses, PublicAddressesOnly

from .name_servers import name_server
from .receivers import receiver

pytestmark = pytest.mark.integration


async def get(url: str, **rules: object) -> httpx.Response:
    transport = PublicAddressesOnly(**rules)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=5) as client:
        return await client.get(url)


def leads_to(*addresses: str) -> public_addresses.Resolve:
    async def resolve(_host: str) -> Sequence[str]:
        return addresses

    return resolve


INSIDE = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1",
          "fd00:ec2::254", "2002:7f00:1::", "ff02::1", "0.0.0.0", "168.63.129.16"]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.invariant("S70")
async def test_a_name_that_leads_inside_is_not_spoken_to(address: str) -> None:
    with pytest.raises(AddressRefused):
        await get("https://hooks.example/", resolve=leads_to(address))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.invariant("S70")
async def test_one_address_inside_among_public_ones_is_enough(order: int) -> None:
    found = ["2606:4700:4700::1111", "8.8.8.8", "127.0.0.1"][::order]
    with pytest.raises(AddressRefused):
        await get("https://hooks.example/", resolve=leads_to(*found))


@pytest.mark.parametrize("spelled", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost",
                                     "[::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "a.localhost"])  # fmt: skip
@pytest.mark.invariant("S70")
async def test_no_spelling_of_this_machine_is_spoken_to(spelled: str) -> None:
    async with receiver() as inside, name_server({}) as names:
        for resolve in (DnsAddresses([names.address]), None):
            with pytest.raises((httpx.ConnectError, httpx.InvalidURL)):
                await get(f"https://{spelled}:{inside.port}/", resolve=resolve)
    assert inside.connections == 0


@pytest.mark.invariant("S70")
async def test_a_name_that_changes_its_mind_is_spoken_to_where_it_was_looked_at() -> None:
    """The second answer leads inside (DNS rebinding): it is never asked for."""
    async with receiver(host="127.0.0.2") as looked_at, receiver(host="127.0.0.3") as inside:
        turns = {"hooks.example": [["127.0.0.2"], ["127.0.0.3"]]}
        async with name_server(turns) as names:
            resolve = DnsAddresses([names.address])
            answer = await get(f"http://hooks.example:{looked_at.port}/", resolve=resolve, allow_loopback=True)
        assert answer.status_code == 204
        assert names.asked.count("hooks.example A") == 1
        assert (looked_at.connections, inside.connections) == (1, 0)


async def test_a_name_is_looked_at_anew_for_each_request() -> None:
    turns = {"hooks.example": [["127.0.0.2"], ["10.0.0.1"]]}
    async with receiver(host="127.0.0.2") as first, name_server(turns) as names:
        url, resolve = f"http://hooks.example:{first.port}/", DnsAddresses([names.address])
        await get(url, resolve=resolve, allow_loopback=True)
        with pytest.raises(AddressRefused):
            await get(url, resolve=resolve, allow_loopback=True)
    assert first.connections == 1


async def test_an_address_that_takes_no_connection_is_followed_by_the_next() -> None:
    async with receiver(host="127.0.0.3") as up:
        url = f"http://hooks.example:{up.port}/"
        answer = await get(url, resolve=leads_to("127.0.0.2", "127.0.0.3"), allow_loopback=True)
    assert answer.status_code == 204


async def test_where_one_family_leads_nowhere_the_other_has_its_turn() -> None:
    """DNS names all addresses of IPv6 first, and as many as are tried."""
    async with receiver(host="127.0.0.3") as up:
        found = leads_to("::1", "::1", "::1", "127.0.0.3")
        answer = await get(f"http://hooks.example:{up.port}/", resolve=found, allow_loopback=True)
    assert answer.status_code == 204


async def test_an_address_that_says_nothing_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_addresses, "CONNECT_SECONDS", 0.2)
    asked: list[tuple[str, float]] = []

    async def connect(_self: object, request: httpx.Request) -> httpx.Response:
        asked.append((request.url.host, request.extensions["timeout"]["connect"]))
        if len(asked) < 3:
            raise httpx.ConnectTimeout("nobody answers", request=request)
        return httpx.Response(204)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", connect)
    found = leads_to("2606:4700::1", "2606:4700::2", "2606:4700::3", "8.8.8.8", "8.8.4.4")
    assert (await get("https://hooks.example/", resolve=found)).status_code == 204
    assert asked == [("2606:4700::1", 0.2), ("8.8.8.8", 0.2), ("2606:4700::2", 5)]


@pytest.mark.parametrize("url", ["http://hooks.example/", "https://hooks.example:22/", "https://hooks.example:6443/"])
@pytest.mark.invariant("S70")
async def test_only_https_on_few_ports_is_spoken(url: str) -> None:
    with pytest.raises(AddressRefused):
        await get(url, resolve=leads_to("8.8.8.8"), ports={443, 8443})


async def test_a_name_server_that_never_answers_takes_its_own_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_addresses, "DNS_SECONDS", 0.5)
    async with receiver() as up, name_server({"slow.example": [[]], "fast.example": [["127.0.0.1"]]}) as names:
        resolve = DnsAddresses([names.address])

        async def slow() -> None:
            with pytest.raises(httpx.ConnectError):
                await get("https://slow.example/", resolve=resolve)

        waiting = [asyncio.create_task(slow()) for _ in range(60)]
        await asyncio.sleep(0)
        began = time.monotonic()
        answer = await get(f"http://fast.example:{up.port}/", resolve=resolve, allow_loopback=True)
        assert answer.status_code == 204
        assert time.monotonic() - began < 5
        await asyncio.gather(*waiting)


class Authority:
    """A certificate authority of a test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        self._root = self._signed(self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None))

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        built = x509.CertificateBuilder(self._name, name, key, x509.random_serial_number(), now, now + dt.timedelta(1))
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        for extension in (*extensions, issuer, x509.SubjectKeyIdentifier.from_public_key(key)):
            built = built.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return built.sign(self._key, SHA256())

    def server(self, host: str) -> ssl.SSLContext:
        """For a server that is `host` and tells what it was asked as."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        certificate = self._signed(name, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(host)]))
        file = self._folder / f"{host}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)

        def note(socket: ssl.SSLObject, asked_as: str | None, _context: ssl.SSLContext) -> None:
            NAMED.append(asked_as)

        context.sni_callback = note
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self._root.public_bytes(Encoding.PEM).decode())


NAMED: list[str | None] = []
"""As whom servers were asked (SNI)."""


@pytest.mark.invariant("S70")
async def test_the_certificate_and_the_host_are_those_of_the_name_though_the_connection_goes_to_an_address(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    async with receiver(tls=authority.server("hooks.example")) as right:
        rules = {"resolve": leads_to("127.0.0.1"), "allow_loopback": True, "tls": authority.client()}
        answer = await get(f"https://hooks.example:{right.port}/in", **rules)
        assert answer.status_code == 204
        assert NAMED[-1] == "hooks.example"
        (request,) = right.got
        assert request.headers["host"] == f"hooks.example:{right.port}"
        with pytest.raises(httpx.ConnectError):
            await get(f"https://another.example:{right.port}/in", **rules)
        assert NAMED[-1] == "another.example"
        assert len(right.got) == 1, "nothing is said to whoever cannot show the name's certificate"
