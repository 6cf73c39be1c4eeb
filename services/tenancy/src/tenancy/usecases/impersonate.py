"""Somebody of the platform's staff acts in the name of an organization's owner: begins, goes on, ends.

The organization's owner gets a letter when it begins and reads beginning and end in the audit log. Tokens name both
(RFC 8693: `sub` the owner, `act.sub` who acts) and only read.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.impersonation import Impersonation
from tenancy.domain.organization import Status
from tenancy.domain.people import DAY, Language
from tenancy.domain.sessions import SECOND_FACTOR_FRESH
from tenancy.errors import ImpersonationEnded, ImpersonationNotFound, OrganizationNotFound, SecondFactorUnproved
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import AccessTokens, Letters
from tenancy.usecases.steps.impersonations import tell_of_end
from tenancy.usecases.steps.owner_letters import write_to

STARTED = "impersonation_started"


async def second_factor_proved(uow: UnitOfWork, session_id: UUID | None, user_id: UUID) -> None:
    """Demand a second factor of this very session, proved lately. Needs `for_system("auth")`.

    The session is locked: whoever ends it meanwhile waits, and finds what is committed by then.

    Raises:
        SecondFactorUnproved: there is none, or it was proved too long ago, or the session is over.
    """
    now = uow.clock.now()
    session = await uow.sessions.get(session_id, lock=True) if session_id else None
    held = await uow.users.credentials(user_id)
    proved = (
        session is not None
        and session.user_id == user_id
        and session.alive(now)
        and session.second_factor_at is not None
        and now - session.second_factor_at < SECOND_FACTOR_FRESH
        and held is not None
        and held.totp_sealed is not None
    )
    if not proved:
        raise SecondFactorUnproved


async def start_impersonation(
    uow: UnitOfWork, letters: Letters, *, actor: UUID, session_id: UUID | None, reason: str, lasting: timedelta
) -> Impersonation:
    """Begin, and write to the owner. The caller has demanded the actor's second factor, and does so again before he
    gives a token out.

    Raises:
        OrganizationNotFound: there is none.
    """
    organization = await uow.organizations.get(uow.tenant_id, lock=True)
    if organization is None or organization.status is Status.DELETED:
        raise OrganizationNotFound
    now = uow.clock.now()
    owner, until = organization.owner_user_id, now + lasting
    started = Impersonation(uuid7(), organization.id, actor, owner, reason, now, until, session_id)
    await uow.impersonations.add(started)
    details = {"as_user": str(started.user_id), "until": started.expires_at.isoformat()}
    await uow.audit("impersonation.started", str(started.id), actor=actor, reason=reason, details=details)

    def about(language: Language) -> dict[str, Any]:
        due = f"{started.expires_at:{DAY[language]} %H:%M} UTC"
        return {"reason": reason, "minutes": int(lasting.total_seconds() // 60), "due": due}

    key = f"{STARTED}:{started.id}"
    await write_to(uow, letters, STARTED, organization, key=key, about=about)
    return started


async def token_of(uow: UnitOfWork, tokens: AccessTokens, impersonation_id: UUID, actor: UUID) -> tuple[str, datetime]:
    """A token of a running impersonation, and until when it is good; never longer than the impersonation.

    Raises:
        ImpersonationNotFound: there is none, or it is somebody else's.
        ImpersonationEnded: it was ended, or its time is over.
    """
    found = await uow.impersonations.get(uow.tenant_id, impersonation_id)
    if found is None or found.staff_user_id != actor:
        raise ImpersonationNotFound
    now = uow.clock.now()
    if not found.open(now):
        raise ImpersonationEnded
    return tokens.sign_impersonation(found), min(found.expires_at, now + tokens.lifetime)


async def end_impersonation(
    uow: UnitOfWork, impersonation_id: UUID, *, by: UUID | None, only_of: UUID | None = None
) -> None:
    """End it, and tell the gateway, so that its tokens are worth nothing. A second call changes nothing.

    Args:
        uow: the tenant's transaction.
        impersonation_id: which.
        by: who ends it; None where its time is over.
        only_of: whose it has to be; anybody's where nobody is named.

    Raises:
        ImpersonationNotFound: there is none, or not that person's.
    """
    found = await uow.impersonations.get(uow.tenant_id, impersonation_id, lock=True)
    if found is None or (only_of is not None and found.staff_user_id != only_of):
        raise ImpersonationNotFound
    if found.ended_at is not None:
        return
    await uow.impersonations.end(found.ended(uow.clock.now(), by))
    await tell_of_end(uow, found, by=by, why="" if by else "its time was over")
