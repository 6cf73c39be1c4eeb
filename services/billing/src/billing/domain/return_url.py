"""Where PayPal may send the browser back to: an open redirect would lend our name to a phisher."""

from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def origin_of(url: str) -> str | None:
    """Return ``scheme://host[:port]`` of an absolute http(s) address without user name; else ``None``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return None
    if any(character.isspace() or ord(character) < 0x20 or character == "\\" for character in url):
        return None
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in {None, default} else "")


def may_return_to(url: str, origins: frozenset[str] | None) -> bool:
    """Say whether a browser may be sent to ``url``.

    Args:
        url: As the customer's page sent it.
        origins: The allowed origins; ``None`` allows any https origin and loopback (never in production).
    """
    origin = origin_of(url)
    if origin is None:
        return False
    if origins is not None:
        return origin in origins
    return origin.startswith("https://") or urlsplit(url).hostname in LOOPBACK
