"""Acting in a customer's name: the actor's session is looked at through one door, the organization through another."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from tenancy.domain.impersonation import Impersonation
from tenancy.errors import ImpersonationNotFound, SecondFactorUnproved
from tenancy.usecases.impersonate import end_impersonation, second_factor_proved, start_impersonation, token_of
from tenancy.workflows.tools import Tools


@dataclass(frozen=True, slots=True)
class Acting:
    """A running impersonation with a token of it, which is good for `lasting`."""

    impersonation: Impersonation
    token: str
    lasting: timedelta


async def begin_to_act(
    tools: Tools, tenant_id: UUID, actor: UUID, session_id: UUID | None, *, reason: str, minutes: int
) -> Acting:
    """Begin.

    A session that ends ends what began in it. One that ends while it begins does not see it yet: therefore the session
    is looked at again, under its lock, before there is a token.

    Raises:
        SecondFactorUnproved: the actor's session has not proved one lately, or has ended.
        OrganizationNotFound: there is none.
    """
    async with tools.store.for_system("auth") as uow:
        await second_factor_proved(uow, session_id, actor)
    async with tools.store.for_tenant(tenant_id) as uow:
        lasting = timedelta(minutes=minutes)
        started = await start_impersonation(
            uow, tools.letters, actor=actor, session_id=session_id, reason=reason, lasting=lasting
        )
    try:
        return await act_again(tools, tenant_id, started.id, actor, session_id)
    except SecondFactorUnproved:
        async with tools.store.for_tenant(tenant_id) as uow:
            await end_impersonation(uow, started.id, by=None)
        raise


async def act_again(
    tools: Tools, tenant_id: UUID, impersonation_id: UUID, actor: UUID, session_id: UUID | None
) -> Acting:
    """Go on with a fresh token.

    Raises:
        SecondFactorUnproved: the actor's session has not proved one lately.
        ImpersonationNotFound, ImpersonationEnded: as they say.
    """
    async with tools.store.for_system("auth") as uow:
        await second_factor_proved(uow, session_id, actor)
    async with tools.store.for_tenant(tenant_id) as uow:
        token, until = await token_of(uow, tools.tokens, impersonation_id, actor)
        found = await uow.impersonations.get(tenant_id, impersonation_id)
        now = uow.clock.now()
    if found is None:
        raise ImpersonationNotFound
    return Acting(found, token, until - now)
