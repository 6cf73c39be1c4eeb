"""Signed-in sessions and the rotation of their refresh tokens."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from tenancy.domain.sign_in_rules import SignInProof

USER_AGENT_LENGTH = 300
"""Characters of a User-Agent that are kept; browsers send about 120."""

SECOND_FACTOR_FRESH = timedelta(minutes=15)
"""How long a proof of the second factor counts for what is dangerous."""


@dataclass(frozen=True, slots=True)
class Device:
    """From where somebody speaks: what the client says of itself, and the address that the gateway saw."""

    user_agent: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in on one device: the family that all its refresh tokens belong to."""

    id: UUID
    user_id: UUID
    active_tenant_id: UUID | None
    created_at: datetime
    expires_at: datetime
    device: Device
    last_used_at: datetime
    second_factor_at: datetime | None = None
    sso_tenant_id: UUID | None = None
    revoked_at: datetime | None = None

    @property
    def proof(self) -> SignInProof:
        return SignInProof(self.second_factor_at, self.sso_tenant_id)

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


def exchange(token: RefreshToken, session: Session, device: Device, now: datetime, grace: timedelta) -> Exchange:
    """Decide about a presented token.

    Within `grace` after its first use a token still rotates for the same client: two tabs that refresh at once, or
    an application that lost the answer, are not thieves. Addresses may change meanwhile, as telephones' do.
    """
    if not session.alive(now) or now >= token.expires_at:
        return Exchange.REFUSE
    if token.used_at is None:
        return Exchange.ROTATE
    same_client = device.user_agent == session.device.user_agent
    return Exchange.ROTATE if same_client and now - token.used_at <= grace else Exchange.REVOKE
