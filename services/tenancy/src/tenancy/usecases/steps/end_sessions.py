"""Ending sessions, always together with the fact that tells the gateway."""

from uuid import UUID

from tenancy.events import SessionRevoked
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.impersonations import tell_of_end


async def end_sessions(
    uow: UnitOfWork, user_id: UUID, reason: str, *, only: UUID | None = None, keep: UUID | None = None
) -> list[UUID]:
    """End one session of a person, or all but `keep`, and what he does in customers' names by them. Needs
    `for_system("auth")`.

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
    now = uow.clock.now()
    ended = await uow.sessions.revoke(user_id, now, reason, only=only, keep=keep)
    for session_id in ended:
        fact = SessionRevoked(session_id=session_id, user_id=user_id, reason=reason)
        await uow.publish(fact, subject=str(session_id))
    for impersonation in await uow.impersonations.end_with(user_id, ended, now) if ended else ():
        await tell_of_end(uow, impersonation, by=None, why="the session in which it began has ended")
    return ended
