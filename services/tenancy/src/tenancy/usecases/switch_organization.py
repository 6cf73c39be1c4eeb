"""Make another of one's organizations the active one."""

from uuid import UUID

from tenancy.domain.sign_in_rules import Obstacle
from tenancy.errors import (
    AnotherSignInNeeded,
    OrganizationNotFound,
    SecondFactorDemanded,
    SessionEnded,
    SsoDemanded,
)
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import AccessTokens
from tenancy.usecases.steps.activation import what_stands_between

REFUSALS = {
    Obstacle.SECOND_FACTOR: SecondFactorDemanded,
    Obstacle.SINGLE_SIGN_ON: SsoDemanded,
    Obstacle.ANOTHER_PROVIDER: AnotherSignInNeeded,
}


async def switch_organization(
    uow: UnitOfWork, tokens: AccessTokens, session_id: UUID, user_id: UUID, tenant_id: UUID
) -> str:
    """Activate the organization for this session and for the next sign-in; return a token that names it.

    Needs `for_system("auth")`: what the organization demands is read before it is active.

    Raises:
        OrganizationNotFound: it does not exist or the person is no member.
        SessionEnded: the session was revoked or is too old.
        SecondFactorDemanded, SsoDemanded, AnotherSignInNeeded: the organization does not admit this session.
    """
    session = await uow.sessions.get(session_id)
    user = await uow.users.by_id(user_id)
    if session is None or user is None or session.user_id != user_id or not session.alive(uow.clock.now()):
        raise SessionEnded
    mine = {membership.tenant_id: membership for membership in await uow.memberships.of_person(user_id)}
    if tenant_id not in mine:
        raise OrganizationNotFound
    refused = await what_stands_between(uow, session.proof, mine[tenant_id])
    if refused is not None:
        raise REFUSALS[refused]
    await uow.sessions.activate(session_id, tenant_id)
    await uow.users.set(user_id, last_tenant_id=tenant_id)
    return tokens.sign(user, session_id, mine[tenant_id])
