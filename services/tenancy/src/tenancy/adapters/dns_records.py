"""TXT records, by dnspython: how an organization shows that a domain is its own."""

from collections.abc import Sequence

import dns.asyncresolver
import dns.exception

SECONDS = 5.0


class DnsRecords:
    """Asks the machine's name servers, or those that are named.

    Args:
        servers: `address` or `address:port` of name servers; the machine's own where there are none.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = servers

    async def txt(self, name: str) -> list[str]:
        """The TXT records of a name; none where there is no answer."""
        resolver = dns.asyncresolver.Resolver(configure=not self._servers)
        if self._servers:
            address, _, port = self._servers[0].partition(":")
            resolver.nameservers, resolver.port = [address], int(port or 53)
        try:
            answer = await resolver.resolve(name, "TXT", lifetime=SECONDS)
        except (dns.exception.DNSException, OSError):
            return []
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
