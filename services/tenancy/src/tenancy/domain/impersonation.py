"""Impersonation: for a while, somebody of the platform's staff reads an organization's affairs as its viewers do."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from tenancy.domain.roles import Role

LONGEST = timedelta(minutes=60)
"""Nobody needs longer for one question; whoever does gives another reason."""
ROLE = Role.VIEWER
"""Impersonation reads. Whatever the impersonated person may do besides, the one who acts may not."""


@dataclass(frozen=True, slots=True)
class Impersonation:
    """`staff_user_id` acts, `user_id` is the owner in whose name; the id takes a session's place in tokens.

    It ends with the session in which it began (`staff_session_id`; one that does not name it ends with any of his).
    """

    id: UUID
    tenant_id: UUID
    staff_user_id: UUID
    user_id: UUID
    reason: str
    started_at: datetime
    expires_at: datetime
    staff_session_id: UUID | None = None
    ended_at: datetime | None = None
    ended_by: UUID | None = None
    """Who ended it before its time; None where its time was over, or the session in which it began."""

    def open(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.expires_at

    def ended(self, at: datetime, by: UUID | None) -> "Impersonation":
        return replace(self, ended_at=at, ended_by=by)
