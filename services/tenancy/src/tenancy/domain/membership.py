"""Who belongs to which organization, and which of them is active in a session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tenancy.domain.roles import Role


@dataclass(frozen=True, slots=True)
class Membership:
    """One person in one organization, with the name and address that fellow members see."""

    tenant_id: UUID
    user_id: UUID
    role: Role
    email: str
    full_name: str
    joined_at: datetime


def active_of(memberships: Sequence[Membership], *preferred: UUID | None) -> Membership | None:
    """The first preferred organization that the person still belongs to, else the only one, else none.

    Args:
        memberships: all of one person.
        preferred: organizations in falling order of preference, such as the session's, then the last used one.
    """
    by_tenant = {membership.tenant_id: membership for membership in memberships}
    for tenant_id in preferred:
        if tenant_id in by_tenant:
            return by_tenant[tenant_id]
    return memberships[0] if len(memberships) == 1 else None
