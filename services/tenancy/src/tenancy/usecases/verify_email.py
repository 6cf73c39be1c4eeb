"""Confirm an address by the link that was sent to it."""

from tenancy.domain.links import Purpose
from tenancy.domain.secrets import digest
from tenancy.errors import TokenNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.one_time_links import open_link


async def verify_email(uow: UnitOfWork, token: str) -> None:
    """Mark the address as confirmed and use the link up; a second click changes nothing. Needs `for_system("auth")`.

    Raises:
        TokenNotFound: no such link, it was replaced, or the account has another address by now.
        TokenExpired: it is too old.
    """
    if await _has_confirmed(uow, token):
        return
    link = await open_link(uow, token, Purpose.VERIFY_EMAIL)
    user = await uow.users.by_id(link["user_id"])
    if user is None or user.email != link["email"]:
        raise TokenNotFound
    now = uow.clock.now()
    await uow.links.use(link["id"], now)
    await uow.users.set(user.id, email_verified_at=now)


async def _has_confirmed(uow: UnitOfWork, token: str) -> bool:
    """Whether the address that a used link was sent to is its account's, and confirmed."""
    link = await uow.links.used(digest(token), Purpose.VERIFY_EMAIL)
    user = await uow.users.by_id(link["user_id"]) if link is not None else None
    return link is not None and user is not None and user.email == link["email"] and user.email_verified_at is not None
