"""Signed-in sessions and the rotation of their refresh tokens."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in on one device: the family that all its refresh tokens belong to."""

    id: UUID
    user_id: UUID
    active_tenant_id: UUID | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def alive(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What is kept of a refresh token; `used_at` is when it was first exchanged for a newer one."""

    id: UUID
    session_id: UUID
    user_id: UUID
    expires_at: datetime
    used_at: datetime | None = None


class Exchange(Enum):
    """What to do with a refresh token that somebody presents."""

    ROTATE = "rotate"
    """Give a new pair and mark the token used."""
    REFUSE = "refuse"
    """It is too old or its session has ended: nothing changes."""
    REVOKE = "revoke"
    """It was used before the grace window: somebody has a copy, so the session ends for everybody."""


def exchange(token: RefreshToken, session: Session, now: datetime, grace: timedelta) -> Exchange:
    """Decide about a presented token.

    Within `grace` after its first use a token still rotates: two tabs that refresh at once, or a client that lost
    the answer, are not thieves.
    """
    if not session.alive(now) or now >= token.expires_at:
        return Exchange.REFUSE
    if token.used_at is not None and now - token.used_at > grace:
        return Exchange.REVOKE
    return Exchange.ROTATE
