"""A new password: by a mailed link, or by whoever knows the old one."""

from uuid import UUID

from common.ids import uuid7

from tenancy.domain.links import Purpose
from tenancy.domain.people import User
from tenancy.errors import TokenNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.end_sessions import end_sessions
from tenancy.usecases.steps.one_time_links import open_link


async def person_of_reset(uow: UnitOfWork, token: str) -> User:
    """Whom a link for a new password is for; the link stays unused. Needs `for_system("auth")`.

    Raises:
        TokenNotFound: no such link, it was used or replaced, or the account has another address by now.
        TokenExpired: it is too old.
    """
    link = await open_link(uow, token, Purpose.RESET_PASSWORD)
    user = await uow.users.by_id(link["user_id"])
    if user is None or user.disabled_at is not None or user.email != link["email"]:
        raise TokenNotFound
    return user


async def reset_password(uow: UnitOfWork, letters: Letters, token: str, password_hash: str) -> None:
    """Use the link up and set the password; every session ends. The second factor stays. Needs `for_system("auth")`.

    Whoever reads the mailbox owns the address, so it counts as confirmed.

    Raises:
        TokenNotFound, TokenExpired: as above.
    """
    user = await person_of_reset(uow, token)
    link = await open_link(uow, token, Purpose.RESET_PASSWORD)
    await uow.links.use(link["id"], uow.clock.now())
    if user.email_verified_at is None:
        await uow.users.set(user.id, email_verified_at=uow.clock.now())
    await set_password(uow, letters, user, password_hash, reason="password_reset", keep=None)


async def set_password(
    uow: UnitOfWork, letters: Letters, user: User, password_hash: str, *, reason: str, keep: UUID | None
) -> None:
    """Set the password, end every session but `keep`, and tell the person. Needs `for_system("auth")`."""
    now = uow.clock.now()
    await uow.users.set_credentials(user.id, password_hash=password_hash, password_set_at=now)
    await uow.links.void(user.id, now, Purpose.RESET_PASSWORD, Purpose.SECOND_STEP)
    await end_sessions(uow, user.id, reason, keep=keep)
    await uow.audit(f"{reason}.done", str(user.id), actor=user.id)
    await uow.send_mail(
        letters.write(
            "password_changed",
            to=user.email,
            key=f"password-changed:{uuid7()}",
            language=user.language,
            person=user.full_name,
        )
    )
