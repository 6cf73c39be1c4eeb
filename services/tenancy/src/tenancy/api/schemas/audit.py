"""Answers of the audit log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from common.web import Answer


class VerifiedChainOut(Answer):
    """What reading a chain again found: how many sealed rows, and the first that is not what it was."""

    rows: int
    is_whole: bool
    broken_at: int | None
    broken_row: UUID | None
    what: str | None


class AuditEntryOut(Answer):
    """One act: who (`actor` is a user's id or what acted by itself), what, on what, from where, and why.

    `number` is its place in the chain of its service (`source`); an act of the last seconds has none yet.
    `details` has what changed as `before` and `after`.
    """

    id: UUID
    source: str
    number: int | None
    at: datetime
    actor: str
    action: str
    target: str
    reason: str
    address: str | None
    details: dict[str, Any]
