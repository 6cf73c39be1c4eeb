"""Count coupon codes that are wrong, in transactions of their own: what a wrong code stops leaves no other trace."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from common.errors import DomainError
from common.telemetry.context import client_address

from billing.domain.tries import CouponLimits, Tried
from billing.errors import CouponRefused, CouponTriesUsedUp
from billing.persistence.unit_of_work import BillingStore


@dataclass(slots=True)
class Try:
    """A code that is being looked at."""

    was_wrong: bool = False


class TryingCoupons:
    """Guards every route that says whether a code is right.

    Args:
        store: The three doors.
        limits: How many may be wrong.
    """

    def __init__(self, store: BillingStore, limits: CouponLimits) -> None:
        self._store = store
        self._limits = limits

    @asynccontextmanager
    async def counted(self, user_id: UUID, code: str | None) -> AsyncIterator[Try]:
        """Let the block look at a code, and keep it counted where that was wrong: refused, or said to be.

        Whatever breaks the block off stays counted as well: the caller may find out otherwise what became of it.

        Raises:
            CouponTriesUsedUp: Too many were wrong; the block is not entered, and says nothing of this one.
        """
        if code is None:
            yield Try()
            return
        counted, tried = self._limits.of(user_id, client_address()), Try()
        async with self._store.for_user(user_id, writes=True) as mine:
            wait = await mine.coupon_tries.take(counted)
        if wait is not None:
            raise CouponTriesUsedUp(retry_after=wait)
        try:
            yield tried
        except CouponRefused:
            raise
        except DomainError:
            await self._give_back(user_id, counted)
            raise
        if not tried.was_wrong:
            await self._give_back(user_id, counted)

    async def _give_back(self, user_id: UUID, counted: list[Tried]) -> None:
        async with self._store.for_user(user_id, writes=True) as mine:
            await mine.coupon_tries.give_back(counted)
