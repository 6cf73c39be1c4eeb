"""What a session stands for now: asked by the gateway for tokens that name no organization."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tenancy.errors import SessionNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.activation import active_membership


@dataclass(frozen=True, slots=True)
class SessionState:
    """The session's active organization and its holder's roles, at this moment."""

    tenant_id: UUID | None
    roles: tuple[str, ...]
    staff_roles: tuple[str, ...]
    revoked: bool
    has_second_factor: bool
    second_factor_at: datetime | None
    """When the session's holder last proved it."""


async def read_session(uow: UnitOfWork, session_id: UUID, user_id: UUID) -> SessionState:
    """Read a session of one person. Needs `for_system("auth")`.

    Raises:
        SessionNotFound: there is none, or it is somebody else's.
    """
    session = await uow.sessions.get(session_id)
    user = await uow.users.by_id(user_id)
    if session is None or user is None or session.user_id != user_id:
        raise SessionNotFound
    revoked = user.disabled_at is not None or not session.alive(uow.clock.now())
    active = await active_membership(uow, user_id, session.proof, session.active_tenant_id, user.last_tenant_id)
    held = await uow.users.credentials(user_id)
    return SessionState(
        tenant_id=active.tenant_id if active and not revoked else None,
        roles=(active.role.value,) if active and not revoked else (),
        staff_roles=() if revoked else tuple(sorted(user.staff_roles)),
        revoked=revoked,
        has_second_factor=held is not None and held.totp_sealed is not None,
        second_factor_at=session.second_factor_at,
    )
