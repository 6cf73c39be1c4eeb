"""Ending sessions, always together with the fact that tells the gateway."""

from uuid import UUID

from tenancy.events import SessionRevoked
from tenancy.persistence.unit_of_work import UnitOfWork


async def end_sessions(
    uow: UnitOfWork, user_id: UUID, reason: str, *, only: UUID | None = None, keep: UUID | None = None
) -> list[UUID]:
    """End one session of a person, or all but `keep`. Needs `for_system("auth")`.

    Refresh tokens stop working with this commit, access tokens when the gateway has the fact.

    Args:
        uow: an open transaction.
        user_id: whose sessions; somebody else's are never touched.
        reason: kept with each row.
        only: the one to end; all of them when none is named.
        keep: the one that stays, such as the one that asks.

    Returns:
        The sessions that had not ended before.
    """
    ended = await uow.sessions.revoke(user_id, uow.clock.now(), reason, only=only, keep=keep)
    for session_id in ended:
        fact = SessionRevoked(session_id=session_id, user_id=user_id, reason=reason)
        await uow.publish(fact, subject=str(session_id))
    return ended
