"""Counts of wrong coupon codes as rows, shared by all replicas; written through a person's own door."""

from datetime import datetime, timedelta

from common.clock import Clock
from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.tries import WINDOW, Tried
from billing.persistence.tables import coupon_tries

SWEPT = 10
"""Counts of former windows that a try removes: more than it adds, so that they do not pile up."""


class CouponTries:
    """A code is counted before it is looked at: of many at once, only as many as are allowed get through."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def take(self, tried: list[Tried]) -> timedelta | None:
        """Count one try on each; return how long to wait where one of them has had too many."""
        now = self._clock.now()
        waits = [await self._take(one, now) for one in tried]
        await self._sweep(now)
        return max((wait for wait in waits if wait is not None), default=None)

    async def _take(self, tried: Tried, now: datetime) -> timedelta | None:
        over = coupon_tries.c.began_at <= now - WINDOW
        counted = (
            upsert(coupon_tries)
            .values(subject=tried.subject, tries=1, began_at=now)
            .on_conflict_do_update(
                index_elements=["subject"],
                set_={
                    "tries": case((over, 1), else_=coupon_tries.c.tries + 1),
                    "began_at": case((over, now), else_=coupon_tries.c.began_at),
                },
            )
            .returning(coupon_tries.c.tries, coupon_tries.c.began_at)
        )
        row = (await self._session.execute(counted)).one()
        if row.tries <= tried.most:
            return None
        began_at: datetime = row.began_at
        return max(timedelta(seconds=1), began_at + WINDOW - now)

    async def _sweep(self, now: datetime) -> None:
        former = (
            select(coupon_tries.c.subject)
            .where(coupon_tries.c.began_at <= now - WINDOW)
            .limit(SWEPT)
            .with_for_update(skip_locked=True)
        )
        await self._session.execute(delete(coupon_tries).where(coupon_tries.c.subject.in_(former)))

    async def give_back(self, tried: list[Tried]) -> None:
        """Take a try off the counts: the code was right, or was not looked at."""
        for one in tried:
            await self._session.execute(
                update(coupon_tries)
                .where(coupon_tries.c.subject == one.subject)
                .values(tries=func.greatest(coupon_tries.c.tries - 1, 0))
            )
