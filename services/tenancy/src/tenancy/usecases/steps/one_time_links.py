"""One-time links: made with a hash of their token alone, good once, for one purpose, for one address."""

from datetime import timedelta
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import RowMapping

from tenancy.domain.links import Purpose
from tenancy.domain.secrets import digest, new_token
from tenancy.errors import TokenExpired, TokenNotFound
from tenancy.persistence.unit_of_work import UnitOfWork


async def make_link(
    uow: UnitOfWork, user_id: UUID, purpose: Purpose, email: str, lifetime: timedelta, *, about: UUID | None = None
) -> str:
    """Make a link in the place of older ones of its purpose; return its token, which is not kept."""
    now = uow.clock.now()
    token = new_token()
    await uow.links.void(user_id, now, purpose)
    await uow.links.add(
        link_id=uuid7(),
        user_id=user_id,
        purpose=purpose,
        email=email,
        token_hash=digest(token),
        expires_at=now + lifetime,
        about_id=about,
    )
    return token


async def open_link(uow: UnitOfWork, token: str, purpose: Purpose) -> RowMapping:
    """The link of a token, locked and not yet used up: `id user_id email about_id`.

    Raises:
        TokenNotFound: no such link, or it was used or replaced.
        TokenExpired: it is too old.
    """
    link = await uow.links.unused(digest(token), purpose)
    if link is None:
        raise TokenNotFound
    if uow.clock.now() >= link["expires_at"]:
        raise TokenExpired
    return link
