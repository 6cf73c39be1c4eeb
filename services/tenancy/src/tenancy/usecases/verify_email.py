"""Confirm an address by the link that was sent to it."""

from tenancy.domain.links import Purpose
from tenancy.errors import TokenNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.one_time_links import open_link


async def verify_email(uow: UnitOfWork, token: str) -> None:
    """Mark the address as confirmed and use the link up. Needs `for_system("auth")`.

    Raises:
        TokenNotFound: no such link, it was used, or the account has another address by now.
        TokenExpired: it is too old.
    """
    link = await open_link(uow, token, Purpose.VERIFY_EMAIL)
    user = await uow.users.by_id(link["user_id"])
    if user is None or user.email != link["email"]:
        raise TokenNotFound
    now = uow.clock.now()
    await uow.links.use(link["id"], now)
    await uow.users.set(user.id, email_verified_at=now)
