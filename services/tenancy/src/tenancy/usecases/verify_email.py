"""Confirm an address by the link that was sent to it."""

from tenancy.domain.secrets import digest
from tenancy.errors import TokenExpired, TokenNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.register_person import VERIFY_EMAIL


async def verify_email(uow: UnitOfWork, token: str) -> None:
    """Mark the address as confirmed and use the link up. Needs `for_system("auth")`.

    Raises:
        TokenNotFound: no such link, it was used, or the account has another address by now.
        TokenExpired: it is too old.
    """
    now = uow.clock.now()
    link = await uow.links.unused(digest(token), VERIFY_EMAIL)
    user = await uow.users.by_id(link["user_id"]) if link else None
    if link is None or user is None or user.email != link["email"]:
        raise TokenNotFound
    if now >= link["expires_at"]:
        raise TokenExpired
    await uow.links.use(link["id"], now)
    await uow.users.set(user.id, email_verified_at=now)
