"""How a row of the audit log becomes a link: what is hashed, and in which form."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

GENESIS = bytes(32)
"""What the first link of a chain follows."""

CONTENT = ("address", "reason", "details")
"""What may say something about persons and may be erased; the chain holds a hash of it."""

LINKED = ("id", "tenant_id", "actor", "action", "target", "correlation_id")


def _canonical(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def content_hash(row: Mapping[str, Any]) -> bytes:
    """Return the hash of what a row tells beside its fixed facts."""
    return hashlib.sha256(_canonical({name: row[name] for name in CONTENT})).digest()


def link(previous: bytes, number: int, row: Mapping[str, Any], content: bytes) -> bytes:
    """Return the hash of a row at its place in the chain: of the link before, the row's facts and its content."""
    facts = {name: None if row[name] is None else str(row[name]) for name in LINKED}
    facts |= {"number": str(number), "at": _moment(row["at"]), "content": content.hex()}
    return hashlib.sha256(previous + _canonical(facts)).digest()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
