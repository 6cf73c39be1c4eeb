"""Recovery codes as rows. Needs the door `for_system("auth")`."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.persistence.tables import recovery_codes


class RecoveryCodes:
    """A person's codes, by their hashes."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def replace(self, user_id: UUID, hashes: Iterable[bytes]) -> None:
        """Keep these in the place of all older ones."""
        await self._session.execute(delete(recovery_codes).where(recovery_codes.c.user_id == user_id))
        rows = [{"user_id": user_id, "code_hash": one} for one in hashes]
        if rows:
            await self._session.execute(insert(recovery_codes), rows)

    async def use(self, user_id: UUID, code_hash: bytes, at: datetime) -> bool:
        """Use a code up; False when it is none of the person's or was used before."""
        used = (
            update(recovery_codes)
            .where(
                recovery_codes.c.user_id == user_id,
                recovery_codes.c.code_hash == code_hash,
                recovery_codes.c.used_at.is_(None),
            )
            .values(used_at=at)
            .returning(recovery_codes.c.user_id)
        )
        return await self._session.scalar(used) is not None

    async def left(self, user_id: UUID) -> int:
        found = select(func.count()).select_from(recovery_codes)
        unused = found.where(recovery_codes.c.user_id == user_id, recovery_codes.c.used_at.is_(None))
        return int(await self._session.scalar(unused) or 0)
