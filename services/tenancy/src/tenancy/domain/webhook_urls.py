"""What may stand as the address of an endpoint. Where its name leads is looked at each time something is sent there."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from tenancy.domain.public_networks import is_loopback, is_public

LONGEST = 2000


def url_problem(url: str, *, ports: Collection[int], allow_loopback: bool) -> str | None:
    """Why this is no address of an endpoint, as a word for `WebhookUrlRefused`; None where it may be one."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        return "malformed"
    if not host or len(url) > LONGEST or not url.isprintable() or not set(url).isdisjoint(" \\"):
        return "malformed"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "credentials_or_fragment"
    inside = _is_inside(host)
    here = allow_loopback and inside == "loopback"
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        return "not_https"
    if here:
        return None
    return "not_public" if inside else None if (port or 443) in ports else "port"


def _is_inside(host: str) -> str | None:
    if host == "localhost" or host.endswith(".localhost"):
        return "loopback"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if is_loopback(address):
        return "loopback"
    return None if is_public(address) else "inside"
