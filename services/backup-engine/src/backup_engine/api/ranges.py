"""Byte ranges of a download (RFC 9110 §14): one range; several are answered as the whole, which the RFC allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Which bytes are sent, of how many."""

    start: int
    length: int
    total: int
    partial: bool


def wanted_range(header: str | None, if_range: str | None, etag: str, total: int) -> ByteRange | None:
    """The range to send; None when it cannot be satisfied (416)."""
    whole = ByteRange(0, total, total, partial=False)
    match = None if header is None else _RANGE.fullmatch(header.strip())
    if match is None or (if_range is not None and if_range != etag):
        return whole
    first, last = match.groups()
    if not first and not last:
        return whole
    if not first:
        length = min(int(last), total)
        return None if length == 0 else ByteRange(total - length, length, total, partial=True)
    start = int(first)
    end = min(int(last), total - 1) if last else total - 1
    if last and int(last) < start:
        return whole
    return None if start >= total else ByteRange(start, end - start + 1, total, partial=True)


def content_headers(part: ByteRange, etag: str, file_name: str) -> dict[str, str]:
    """Headers of a download; the file name in the form that survives any letter (RFC 6266)."""
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(part.length),
        "ETag": etag,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name, safe='')}",
    }
    if part.partial:
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{part.total}"
    return headers
