"""Which request targets are looked at, at all.

A service must see the very path that the gateway judged. Whatever two parsers could read differently (doubled or
encoded slashes, dot segments, parameters after `;`, backslashes, encoded percent signs) has no route.
"""

import re

LONGEST_TARGET = 8 * 1024
"""Bytes of path and query together."""

_PATH = re.compile(rb"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_DECEPTIVE = frozenset(b"/\\.;%?#") | frozenset(range(32)) | {127}
"""Bytes that must not come percent-encoded."""


def is_plain(raw_path: bytes) -> bool:
    """Whether every parser reads this path alike."""
    if not _PATH.fullmatch(raw_path) or b"//" in raw_path:
        return False
    if any(int(escape, 16) in _DECEPTIVE for escape in _ESCAPE.findall(raw_path)):
        return False
    return not any(segment in (b".", b"..") for segment in raw_path.split(b"/"))


def is_plain_query(query: bytes) -> bool:
    """Whether a query has only bytes that may stand in a request line."""
    return all(32 < byte < 127 for byte in query)
