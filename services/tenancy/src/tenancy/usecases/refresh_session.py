"""Exchange a refresh token for a new pair."""

from datetime import timedelta

from tenancy.domain.secrets import digest
from tenancy.domain.sessions import Device, Exchange, exchange
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import AccessTokens
from tenancy.usecases.sign_in import TokenPair, issue_refresh_token
from tenancy.usecases.steps.activation import active_membership
from tenancy.usecases.steps.end_sessions import end_sessions


async def refresh_session(
    uow: UnitOfWork, tokens: AccessTokens, token: str, *, device: Device, grace: timedelta
) -> TokenPair | None:
    """Rotate, or refuse with None. Needs `for_system("auth")`.

    A reuse after the grace window ends the session. That has to be committed although the caller is refused, so
    None is returned here and the edge raises after its transaction.
    """
    now = uow.clock.now()
    presented = await uow.sessions.token(digest(token))
    if presented is None:
        return None
    session = await uow.sessions.get(presented.session_id, lock=True)
    user = await uow.users.by_id(presented.user_id)
    if session is None or user is None or user.disabled_at is not None:
        return None
    decision = exchange(presented, session, device, now, grace)
    if decision is Exchange.REVOKE:
        await end_sessions(uow, user.id, "refresh_token_reused", only=session.id)
        await uow.audit("session.reuse_detected", str(session.id), actor=user.id, details={"address": device.address})
    if decision is not Exchange.ROTATE:
        return None
    await uow.sessions.use_token(presented.id, now)
    await uow.sessions.note_use(session.id, now, device)
    active = await active_membership(uow, user.id, session.proof, session.active_tenant_id, user.last_tenant_id)
    refresh = await issue_refresh_token(uow, session, now)
    return TokenPair(tokens.sign(user, session.id, active), refresh)
