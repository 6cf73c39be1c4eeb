"""One-time links as rows; only a hash of each link's token is there. Needs the door `for_system("auth")`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.persistence.tables import one_time_links


class Links:
    """One-time links sent to a person, such as the one that confirms an address."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self, *, link_id: UUID, user_id: UUID, purpose: str, email: str, token_hash: bytes, expires_at: datetime
    ) -> None:
        await self._session.execute(
            insert(one_time_links).values(
                id=link_id,
                user_id=user_id,
                purpose=purpose,
                email=email,
                token_hash=token_hash,
                expires_at=expires_at,
            )
        )

    async def unused(self, token_hash: bytes, purpose: str) -> RowMapping | None:
        """The unused link with this hash, locked: `id user_id email expires_at`."""
        found = select(one_time_links).where(
            one_time_links.c.token_hash == token_hash,
            one_time_links.c.purpose == purpose,
            one_time_links.c.used_at.is_(None),
        )
        return (await self._session.execute(found.with_for_update())).mappings().one_or_none()

    async def use(self, link_id: UUID, at: datetime) -> None:
        await self._session.execute(update(one_time_links).where(one_time_links.c.id == link_id).values(used_at=at))
