"""Whose address a request comes from, where load balancers stand before us."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]) -> str:
    """The nearest address that is not one of our own proxies'.

    Only a trusted peer's `X-Forwarded-For` is read, from its end, for each proxy appends whom it heard from: what
    stands further left was said by the client.

    Args:
        peer: other end of the connection.
        headers: fields as they came.
        trusted: networks of our proxies.
    """
    if not trusted:
        return peer
    found = peer
    said = b",".join(value for name, value in headers if name.lower() == b"x-forwarded-for").decode("latin-1")
    for hop in reversed(said.split(",")):
        if not _is_in(found, trusted):
            break
        try:
            found = str(ip_address(hop.strip()))
        except ValueError:
            break
    return found


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
