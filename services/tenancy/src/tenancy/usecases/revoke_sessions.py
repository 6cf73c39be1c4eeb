"""End one's own sessions: this one, another one, or all."""

from uuid import UUID

from tenancy.errors import SessionNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.end_sessions import end_sessions


async def revoke_session(uow: UnitOfWork, user_id: UUID, session_id: UUID) -> None:
    """End one session of the person. Needs `for_system("auth")`.

    Raises:
        SessionNotFound: there is none, it is somebody else's, or it has ended.
    """
    if not await end_sessions(uow, user_id, "revoked", only=session_id):
        raise SessionNotFound


async def log_out(uow: UnitOfWork, user_id: UUID, session_id: UUID, *, everywhere: bool) -> None:
    """End this session or every one of the person; one that has ended already is no error."""
    await end_sessions(uow, user_id, "logout", only=None if everywhere else session_id)
