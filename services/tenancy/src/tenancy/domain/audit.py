"""What was done in an organization, by whom and from where, whichever service it was done in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act. `number` is its place in its service's chain; an act of the last seconds has none yet."""

    id: UUID
    source: str
    number: int | None
    at: datetime
    actor: str
    action: str
    target: str
    reason: str
    address: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which acts are wanted; what is not said does not narrow. `action` may end in a dot: every act of that noun."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None
