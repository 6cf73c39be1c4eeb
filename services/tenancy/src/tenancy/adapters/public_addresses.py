"""HTTP to addresses that customers name: https only, and never to anything inside (SSRF).

The name is resolved here, every address it has must be a public one, and the connection goes to the very address that
was looked at: a name that changes its mind in between (DNS rebinding) gains nothing. Certificate, SNI and `Host` are
those of the name. There is no proxy, and each request has a connection of its own: one that was made for another name
is never used again.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import zip_longest

import dns.asyncresolver
import dns.exception
import httpx

from tenancy.domain.public_networks import Address, is_loopback, is_public

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name; raises OSError where it has none."""

DNS_SECONDS = 5.0
"""Patience with name servers, which are the customer's too."""

TRIED = 3
"""Addresses that are tried one after the other until one of them takes the connection."""

CONNECT_SECONDS = 4.0
"""Patience with an address that another one follows: where a family leads nowhere, the other has its turn in time."""


class AddressRefused(httpx.ConnectError):
    """The address is not one that may be spoken to."""


class PublicAddressesOnly(httpx.AsyncHTTPTransport):
    """A transport that refuses what is not public.

    Args:
        allow_loopback: also plain http, any port and the loopback, where a stand-in runs; never in production.
        ports: the only ones that may be spoken to; None for all.
        resolve: finds the addresses of a name; by default as the machine does.
        tls: how certificates are checked, for tests; shared, since making one takes long. By default against the
            machine's authorities.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        ports: Collection[int] | None = None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(retries=0, verify=tls or True, limits=httpx.Limits(max_keepalive_connections=0))
        self._allow_loopback = allow_loopback
        self._ports = ports
        self._resolve = resolve or resolve_as_the_machine

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request to an address that was looked at.

        Raises:
            AddressRefused: the address is not one that may be spoken to.
            httpx.ConnectError: there is no such name, or none of its addresses takes the connection.
        """
        host, netloc = request.url.raw_host.decode("ascii"), request.url.netloc.decode("ascii")
        addresses = await self._addresses(host)
        inside = self._allow_loopback and all(map(is_loopback, addresses))
        if request.url.scheme != "https" and not inside:
            raise AddressRefused("only https is spoken", request=request)
        if self._ports is not None and not inside and (request.url.port or 443) not in self._ports:
            raise AddressRefused("this port is not spoken to", request=request)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.headers["host"] = netloc
        tried, patience = in_turn(addresses)[:TRIED], request.extensions.get("timeout", {})
        for left, address in enumerate(tried, 1 - len(tried)):
            request.url = request.url.copy_with(host=str(address))
            request.extensions["timeout"] = patience | {"connect": CONNECT_SECONDS} if left else patience
            try:
                return await super().handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if not left:
                    raise
        raise AssertionError("unreachable: there is an address, and the last one answers or raises")

    async def _addresses(self, host: str) -> list[Address]:
        try:
            found = [host] if _is_address(host) else await self._resolve(host)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{host} cannot be resolved") from error
        addresses = [ipaddress.ip_address(one) for one in found]
        if not addresses or not all(map(self._may_be_spoken_to, addresses)):
            raise AddressRefused(f"{host} is not a public address")
        return addresses

    def _may_be_spoken_to(self, address: Address) -> bool:
        return is_public(address) or (self._allow_loopback and is_loopback(address))


class DnsAddresses:
    """Finds addresses by DNS alone, without the machine's files and search domains, and without one of its threads:
    a customer's name server that does not answer takes nobody's turn.

    Args:
        servers: `address` or `address:port` of a name server; the machine's own where there is none.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = servers

    async def __call__(self, host: str) -> list[str]:
        """The addresses of a name, of both families.

        Raises:
            OSError: it has none, or nobody says.
        """
        if host == "localhost" or host.endswith(".localhost"):
            return ["127.0.0.1"]  # RFC 6761: never asked for
        try:
            resolver = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                address, _, port = self._servers[0].partition(":")
                resolver.nameservers, resolver.port = [address], int(port or 53)
            found = await resolver.resolve_name(host, lifetime=DNS_SECONDS, search=False)
            return list(found.addresses())
        except dns.exception.DNSException as error:
            raise OSError(f"{host} has no address") from error


def in_turn(addresses: Sequence[Address]) -> list[Address]:
    """Both families alternately, from the first address on (RFC 8305, section 4): DNS names all of one before any of
    the other, and either may lead nowhere from here.
    """
    first = [one for one in addresses if one.version == addresses[0].version]
    second = [one for one in addresses if one.version != addresses[0].version]
    pairs = zip_longest(first, second)
    return [one for pair in pairs for one in pair if one is not None]


async def resolve_as_the_machine(host: str) -> list[str]:
    """The addresses of a name as the machine finds them, its files included."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
