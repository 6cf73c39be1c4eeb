"""Invitations to join an organization."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from tenancy.domain.roles import Role

RESEND_AFTER = timedelta(minutes=5)
"""Pause between two mails of one invitation: nobody's mailbox is filled by a button."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that lets the owner of one e-mail address join once, with a role, until it expires."""

    id: UUID
    tenant_id: UUID
    email: str
    role: Role
    invited_by: UUID
    created_at: datetime
    expires_at: datetime
    sent_at: datetime
    accepted_at: datetime | None = None
    revoked: bool = False

    @property
    def open(self) -> bool:
        return self.accepted_at is None and not self.revoked

    def expired(self, now: datetime) -> bool:
        return now >= self.expires_at

    def renewed(self, now: datetime, lifetime: timedelta) -> "Invitation":
        """The same invitation, sent now."""
        return replace(self, sent_at=now, expires_at=now + lifetime)
