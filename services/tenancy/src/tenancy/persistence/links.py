"""One-time links as rows; only a hash of each link's token is there. Needs the door `for_system("auth")`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.links import Purpose
from tenancy.persistence.tables import email_changes, one_time_links


class Links:
    """One-time links sent to a person, such as the one that confirms an address."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self,
        *,
        link_id: UUID,
        user_id: UUID,
        purpose: Purpose,
        email: str,
        token_hash: bytes,
        expires_at: datetime,
        about_id: UUID | None = None,
    ) -> None:
        await self._session.execute(
            insert(one_time_links).values(
                id=link_id,
                user_id=user_id,
                purpose=purpose.value,
                email=email,
                token_hash=token_hash,
                expires_at=expires_at,
                about_id=about_id,
            )
        )

    async def unused(self, token_hash: bytes, purpose: Purpose) -> RowMapping | None:
        """The unused link with this hash, locked: `id user_id email expires_at about_id`."""
        found = select(one_time_links).where(
            one_time_links.c.token_hash == token_hash,
            one_time_links.c.purpose == purpose.value,
            one_time_links.c.used_at.is_(None),
        )
        return (await self._session.execute(found.with_for_update())).mappings().one_or_none()

    async def used(self, token_hash: bytes, purpose: Purpose) -> RowMapping | None:
        """The link with this hash that was used up or replaced: `user_id email`."""
        found = select(one_time_links.c.user_id, one_time_links.c.email).where(
            one_time_links.c.token_hash == token_hash,
            one_time_links.c.purpose == purpose.value,
            one_time_links.c.used_at.is_not(None),
        )
        return (await self._session.execute(found)).mappings().one_or_none()

    async def use(self, link_id: UUID, at: datetime) -> None:
        await self._session.execute(update(one_time_links).where(one_time_links.c.id == link_id).values(used_at=at))

    async def void(self, user_id: UUID, at: datetime, *purposes: Purpose) -> None:
        """Make a person's unused links of these purposes worthless: a newer one has taken their place."""
        await self._session.execute(
            update(one_time_links)
            .where(
                one_time_links.c.user_id == user_id,
                one_time_links.c.purpose.in_([purpose.value for purpose in purposes]),
                one_time_links.c.used_at.is_(None),
            )
            .values(used_at=at)
        )


class EmailChanges:
    """The address that a person wants instead of theirs: one wish at a time."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def wish(self, user_id: UUID, change_id: UUID, new_email: str, at: datetime) -> None:
        """Note a wish in the place of an older one."""
        values = {
            "change_id": change_id, "new_email": new_email, "requested_at": at,
            "left_at": None, "taken_at": None,
        }  # fmt: skip
        wished = upsert(email_changes).values(user_id=user_id, **values)
        await self._session.execute(wished.on_conflict_do_update(index_elements=["user_id"], set_=values))

    async def get(self, user_id: UUID) -> RowMapping | None:
        """The wish, locked: `change_id new_email left_at taken_at`."""
        found = select(email_changes).where(email_changes.c.user_id == user_id).with_for_update()
        return (await self._session.execute(found)).mappings().one_or_none()

    async def confirm(self, user_id: UUID, **at: datetime) -> None:
        """Note when one of the two addresses agreed: `left_at` or `taken_at`."""
        await self._session.execute(update(email_changes).where(email_changes.c.user_id == user_id).values(**at))
