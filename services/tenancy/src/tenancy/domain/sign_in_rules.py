"""What an organization demands of a session before it can be active there."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from uuid import UUID

from tenancy.domain.membership import Membership
from tenancy.domain.roles import Role


@dataclass(frozen=True, slots=True)
class SignInRules:
    """An organization's rules; without any, every session of a member will do."""

    second_factor_required: bool = False
    sso_required: bool = False


@dataclass(frozen=True, slots=True)
class SignInProof:
    """How a session began: when its holder last proved a second factor, and whose provider vouched for them."""

    second_factor_at: datetime | None = None
    sso_tenant_id: UUID | None = None


class Obstacle(Enum):
    """Why a session cannot be active in an organization of its holder."""

    ANOTHER_PROVIDER = "another_provider"
    SECOND_FACTOR = "second_factor"
    SINGLE_SIGN_ON = "single_sign_on"


def obstacle(rules: SignInRules, proof: SignInProof, membership: Membership) -> Obstacle | None:
    """What stands between a session and an organization; None where nothing does.

    An identity provider vouches for its own organization only: it could otherwise enter every other one that its
    people belong to. Owners with a second factor get in beside an enforced single sign-on, or a broken provider would
    lock the organization out for good.
    """
    if proof.sso_tenant_id is not None:
        return None if proof.sso_tenant_id == membership.tenant_id else Obstacle.ANOTHER_PROVIDER
    if rules.sso_required and not (membership.role is Role.OWNER and proof.second_factor_at is not None):
        return Obstacle.SINGLE_SIGN_ON
    if rules.second_factor_required and proof.second_factor_at is None:
        return Obstacle.SECOND_FACTOR
    return None
