"""HTTP to addresses that customers name: https only, and never to anything inside (SSRF).

The name is resolved here, every address it has must be a public one, and the connection goes to the very address that
was looked at: a name that changes its mind in between (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import socket

import httpx


class PublicAddressesOnly(httpx.AsyncHTTPTransport):
    """A transport that refuses what is not public.

    Args:
        allow_loopback: also plain http and the loopback, where a stand-in runs; never in production.
    """

    def __init__(self, *, allow_loopback: bool = False) -> None:
        super().__init__(retries=0)
        self._allow_loopback = allow_loopback

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request to the address that was looked at.

        Raises:
            httpx.ConnectError: the address is not one that may be spoken to.
        """
        host = request.url.host
        address = await self._address(host, request.url.port or 443)
        if request.url.scheme != "https" and not (self._allow_loopback and address.is_loopback):
            raise httpx.ConnectError("only https is spoken", request=request)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.headers["host"] = request.url.netloc.decode("ascii")
        request.url = request.url.copy_with(host=str(address))
        return await super().handle_async_request(request)

    async def _address(self, host: str, port: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpx.ConnectError(f"{host} cannot be resolved") from error
        addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
        if not addresses or not all(map(self._may_be_spoken_to, addresses)):
            raise httpx.ConnectError(f"{host} is not a public address")
        return addresses[0]

    def _may_be_spoken_to(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        mapped = getattr(address, "ipv4_mapped", None) or address
        if self._allow_loopback and mapped.is_loopback:
            return True
        return bool(mapped.is_global and not mapped.is_multicast)
