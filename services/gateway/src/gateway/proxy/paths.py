"""Which request targets are looked at, at all.

A service must see the very path that the gateway judged. Whatever two parsers could read differently (doubled or
encoded slashes, dot segments, parameters after `;`, backslashes, encoded percent signs, bytes that are no UTF-8, signs
that normalization turns into one of these) has no route.
"""

import re
from unicodedata import normalize
from urllib.parse import unquote_to_bytes

LONGEST_TARGET = 8 * 1024
"""Bytes of path and query together."""

_PATH = re.compile(rb"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUERY = re.compile(rb"[!-~]*")
_DECEPTIVE = frozenset(b"/\\.;%?#") | frozenset(range(32)) | {127}
"""Bytes that must not come percent-encoded."""


def is_plain(raw_path: bytes) -> bool:
    """Whether every parser reads this path alike."""
    if not _PATH.fullmatch(raw_path) or b"//" in raw_path:
        return False
    if any(int(escape, 16) in _DECEPTIVE for escape in _ESCAPE.findall(raw_path)):
        return False
    if any(segment in (b".", b"..") for segment in raw_path.split(b"/")):
        return False
    return raw_path.isascii() and (b"%" not in raw_path or _is_plain_text(unquote_to_bytes(raw_path)))


def _is_plain_text(decoded: bytes) -> bool:
    """Whether these bytes are text, without signs that only look like ours (`／` becomes `/` under NFKC)."""
    try:
        foreign = "".join(sign for sign in decoded.decode() if not sign.isascii())
    except UnicodeDecodeError:
        return False
    return _DECEPTIVE.isdisjoint(map(ord, normalize("NFKC", foreign)))


def is_plain_query(query: bytes) -> bool:
    """Whether a query has only bytes that may stand in a request line."""
    return _QUERY.fullmatch(query) is not None
