"""Invitations to join an organization."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from tenancy.domain.roles import Role

RESEND_AFTER = timedelta(minutes=5)
"""Pause between two mails of one invitation: nobody's mailbox is filled by a button."""

WINDOW = timedelta(hours=1)
MOST_TO_AN_ADDRESS = 3
"""Invitations of an organization to one address within the window: a slip of the pen is corrected, and no stranger's
mailbox filled."""
MOST = 200
"""Invitations of an organization within the window: a company joins at once, and nobody advertises by them."""


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


def pause(sent: Sequence[tuple[str, datetime]], address: str, now: datetime) -> timedelta | None:
    """How long to wait with one more invitation to an address, after those that were sent within the window."""
    to_address = sorted(at for email, at in sent if email == address)
    to_all = sorted(at for _, at in sent)
    free_at = [
        times[-most] + WINDOW
        for times, most in ((to_address, MOST_TO_AN_ADDRESS), (to_all, MOST))
        if len(times) >= most
    ]
    return max(free_at) - now if free_at else None
