"""Counts of what may be tried a few times within a window, as rows, so that all replicas share them."""

from datetime import datetime, timedelta

from common.clock import Clock
from sqlalchemy import Table, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.tries import Tried

SWEPT = 10
"""Counts of former windows that a try removes: more than it adds, so that they do not pile up."""


class Tries:
    """A try is counted before it is let through: of many at once, only as many as are allowed get through.

    Args:
        session: The transaction; what it counts is given back where it is rolled back.
        clock: The time.
        table: Where it is counted.
        window: It begins with the first try; the next one after its end begins another.
    """

    def __init__(self, session: AsyncSession, clock: Clock, table: Table, window: timedelta) -> None:
        self._session = session
        self._clock = clock
        self._table = table
        self._window = window

    async def take(self, tried: list[Tried]) -> timedelta | None:
        """Count one try on each; return how long to wait where one of them has had too many."""
        now = self._clock.now()
        waits = [await self._take(one, now) for one in tried]
        await self._sweep(now)
        return max((wait for wait in waits if wait is not None), default=None)

    async def _take(self, tried: Tried, now: datetime) -> timedelta | None:
        over = self._table.c.began_at <= now - self._window
        counted = (
            upsert(self._table)
            .values(subject=tried.subject, tries=1, began_at=now)
            .on_conflict_do_update(
                index_elements=["subject"],
                set_={
                    "tries": case((over, 1), else_=self._table.c.tries + 1),
                    "began_at": case((over, now), else_=self._table.c.began_at),
                },
            )
            .returning(self._table.c.tries, self._table.c.began_at)
        )
        row = (await self._session.execute(counted)).one()
        if row.tries <= tried.most:
            return None
        began_at: datetime = row.began_at
        return max(timedelta(seconds=1), began_at + self._window - now)

    async def _sweep(self, now: datetime) -> None:
        former = (
            select(self._table.c.subject)
            .where(self._table.c.began_at <= now - self._window)
            .limit(SWEPT)
            .with_for_update(skip_locked=True)
        )
        await self._session.execute(delete(self._table).where(self._table.c.subject.in_(former)))

    async def give_back(self, tried: list[Tried]) -> None:
        """Take a try off the counts: the code was right, or was not looked at."""
        for one in tried:
            await self._session.execute(
                update(self._table)
                .where(self._table.c.subject == one.subject)
                .values(tries=func.greatest(self._table.c.tries - 1, 0))
            )
