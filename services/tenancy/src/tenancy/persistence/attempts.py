"""Counts of tries as rows, shared by all replicas. Needs the door `for_system("auth")`."""

from datetime import datetime

from sqlalchemy import case, func, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.attempts import Count, Limit
from tenancy.persistence.tables import attempts


class Attempts:
    """Counts before the try: of many at once, only as many as are allowed get through."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, limit: Limit, subject: bytes, now: datetime) -> Count:
        """Count one try, in a window that begins with the first."""
        old = attempts.c.began_at <= now - limit.window
        counted = (
            upsert(attempts)
            .values(kind=limit.kind, subject=subject, tries=1, began_at=now)
            .on_conflict_do_update(
                index_elements=["kind", "subject"],
                set_={
                    "tries": case((old, 1), else_=attempts.c.tries + 1),
                    "began_at": case((old, now), else_=attempts.c.began_at),
                },
            )
            .returning(attempts.c.tries, attempts.c.began_at)
        )
        row = (await self._session.execute(counted)).one()
        return Count(row.tries, row.began_at)

    async def give_back(self, limit: Limit, subject: bytes) -> None:
        """Take a try off the count: it was right."""
        mine = (attempts.c.kind == limit.kind) & (attempts.c.subject == subject)
        await self._session.execute(update(attempts).where(mine).values(tries=func.greatest(attempts.c.tries - 1, 0)))
