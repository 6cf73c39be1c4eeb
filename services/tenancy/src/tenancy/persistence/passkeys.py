"""Passkeys and the challenges that they sign, as rows. Needs the door `for_system("auth")`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.passkeys import Passkey
from tenancy.persistence.tables import passkey_challenges, passkeys


class Passkeys:
    """Passkeys of all persons; a method that names a person touches nobody else's."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def challenge(self, challenge_id: UUID, challenge: bytes, user_id: UUID | None, expires_at: datetime) -> None:
        """Keep a challenge: of a person who wants one more passkey, or of nobody yet."""
        await self._session.execute(
            insert(passkey_challenges).values(
                id=challenge_id, challenge=challenge, user_id=user_id, expires_at=expires_at
            )
        )

    async def take_challenge(self, challenge_id: UUID, user_id: UUID | None, now: datetime) -> bytes | None:
        """Use a challenge up; None when there is none such, or it is too old."""
        taken = (
            delete(passkey_challenges)
            .where(
                passkey_challenges.c.id == challenge_id,
                passkey_challenges.c.user_id.is_not_distinct_from(user_id),
                passkey_challenges.c.expires_at > now,
            )
            .returning(passkey_challenges.c.challenge)
        )
        challenge: bytes | None = await self._session.scalar(taken)
        return challenge

    async def add(self, passkey: Passkey) -> bool:
        """Insert a passkey; False where somebody has it already."""
        try:
            async with self._session.begin_nested():
                await self._session.execute(insert(passkeys).values(**asdict(passkey)))
        except IntegrityError:
            return False
        return True

    async def of_person(self, user_id: UUID) -> Sequence[Passkey]:
        found = select(passkeys).where(passkeys.c.user_id == user_id).order_by(passkeys.c.created_at, passkeys.c.id)
        return [Passkey(**row) for row in (await self._session.execute(found)).mappings()]

    async def by_credential(self, credential_id: bytes) -> Passkey | None:
        """The passkey with this id, locked: its counter grows once for each signature."""
        found = select(passkeys).where(passkeys.c.credential_id == credential_id).with_for_update()
        row = (await self._session.execute(found)).mappings().one_or_none()
        return None if row is None else Passkey(**row)

    async def used(self, passkey_id: UUID, sign_count: int, at: datetime) -> None:
        await self._session.execute(
            update(passkeys).where(passkeys.c.id == passkey_id).values(sign_count=sign_count, last_used_at=at)
        )

    async def rename(self, user_id: UUID, passkey_id: UUID, name: str) -> Passkey | None:
        mine = (passkeys.c.id == passkey_id) & (passkeys.c.user_id == user_id)
        renamed = update(passkeys).where(mine).values(name=name).returning(passkeys)
        row = (await self._session.execute(renamed)).mappings().one_or_none()
        return None if row is None else Passkey(**row)

    async def remove_all(self, user_id: UUID) -> None:
        """Remove a person's passkeys, and what would have become one."""
        for table in (passkeys, passkey_challenges):
            await self._session.execute(delete(table).where(table.c.user_id == user_id))

    async def remove(self, user_id: UUID, passkey_id: UUID) -> Passkey | None:
        mine = (passkeys.c.id == passkey_id) & (passkeys.c.user_id == user_id)
        row = (await self._session.execute(delete(passkeys).where(mine).returning(passkeys))).mappings().one_or_none()
        return None if row is None else Passkey(**row)
