"""Make another of one's organizations the active one."""

from uuid import UUID

from tenancy.errors import OrganizationNotFound, SessionEnded
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import AccessTokens


async def switch_organization(
    uow: UnitOfWork, tokens: AccessTokens, session_id: UUID, user_id: UUID, tenant_id: UUID
) -> str:
    """Activate the organization for this session and for the next sign-in; return a token that names it.

    Needs `for_user(user_id, writes=True)`: a session and an account carry no tenant.

    Raises:
        OrganizationNotFound: it does not exist or the person is no member.
        SessionEnded: the session was revoked or is too old.
    """
    session = await uow.sessions.get(session_id)
    user = await uow.users.by_id(user_id)
    if session is None or user is None or not session.alive(uow.clock.now()):
        raise SessionEnded
    mine = {membership.tenant_id: membership for membership in await uow.memberships.of_person(user_id)}
    if tenant_id not in mine:
        raise OrganizationNotFound
    await uow.sessions.activate(session_id, tenant_id)
    await uow.users.set(user_id, last_tenant_id=tenant_id)
    return tokens.sign(user, session_id, mine[tenant_id])
