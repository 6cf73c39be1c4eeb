"""Coupons and their uses, counted under the coupon's row lock."""

import hashlib
from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.coupon import Coupon, CouponRefusal, normalised
from billing.domain.money import Money
from billing.domain.order import Order
from billing.persistence.paging import newest_first
from billing.persistence.tables import coupon_redemptions, coupon_uses, coupons


def _coupon(row: Row[Any]) -> Coupon:
    return Coupon(
        id=row.id,
        code=row.code,
        percent_hundredths=row.percent_hundredths,
        fixed=row.fixed,
        minimum=row.minimum,
        plan_ids=tuple(row.plan_ids),
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        max_redemptions=row.max_redemptions,
        max_per_customer=row.max_per_customer,
        redemptions=row.redemptions,
        is_active=row.is_active,
    )


def customer_key(coupon_id: UUID, user_id: UUID) -> bytes:
    """Return under which name a customer's uses of a coupon are counted; it names nobody."""
    return hashlib.sha256(coupon_id.bytes + user_id.bytes).digest()


class Coupons:
    """Coupons; redeeming and releasing happen under the coupon's lock, taken after order and payment."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def add(self, coupon: Coupon) -> bool:
        """Insert a coupon; False where its code is taken."""
        added = await self._session.execute(
            upsert(coupons)
            .values(
                id=coupon.id,
                code=normalised(coupon.code),
                percent_hundredths=coupon.percent_hundredths,
                fixed=coupon.fixed,
                minimum=coupon.minimum,
                plan_ids=list(coupon.plan_ids),
                valid_from=coupon.valid_from,
                valid_until=coupon.valid_until,
                max_redemptions=coupon.max_redemptions,
                max_per_customer=coupon.max_per_customer,
                redemptions=0,
            )
            .on_conflict_do_nothing()
            .returning(coupons.c.id)
        )
        return added.one_or_none() is not None

    async def find(self, code: str) -> Coupon | None:
        """Return a coupon by its code, unlocked: good for showing, not for redeeming."""
        row = (await self._session.execute(select(coupons).where(coupons.c.code == normalised(code)))).one_or_none()
        return _coupon(row) if row else None

    async def page(self, after: UUID | None, limit: int, *, code: str | None = None) -> list[Coupon]:
        """Return coupons, newest first, that are older than ``after``; for staff."""
        query = newest_first(coupons, after, limit, {coupons.c.code: None if code is None else normalised(code)})
        return [_coupon(row) for row in await self._session.execute(query)]

    async def lock(self, code: str) -> Coupon | None:
        """Return a coupon and hold it."""
        row = (
            await self._session.execute(select(coupons).where(coupons.c.code == normalised(code)).with_for_update())
        ).one_or_none()
        return _coupon(row) if row else None

    async def switch(self, code: str, *, is_active: bool) -> Coupon | None:
        """Switch a coupon on or off; orders that have it keep it. Returns it as it is now."""
        await self._session.execute(
            update(coupons).where(coupons.c.code == normalised(code)).values(is_active=is_active)
        )
        return await self.find(code)

    async def customer_refusal(self, coupon: Coupon, user_id: UUID) -> CouponRefusal | None:
        """Say whether this customer has used the coupon as often as he may."""
        if coupon.max_per_customer is None:
            return None
        uses = await self._session.scalar(
            select(coupon_uses.c.uses).where(
                coupon_uses.c.coupon_id == coupon.id,
                coupon_uses.c.customer_key == customer_key(coupon.id, user_id),
            )
        )
        return CouponRefusal.USED_BY_CUSTOMER if (uses or 0) >= coupon.max_per_customer else None

    async def _count(self, coupon_id: UUID, user_id: UUID, step: int) -> None:
        await self._session.execute(
            update(coupons).where(coupons.c.id == coupon_id).values(redemptions=coupons.c.redemptions + step)
        )
        await self._session.execute(
            upsert(coupon_uses)
            .values(coupon_id=coupon_id, customer_key=customer_key(coupon_id, user_id), uses=max(step, 0))
            .on_conflict_do_update(
                index_elements=["coupon_id", "customer_key"], set_={"uses": coupon_uses.c.uses + step}
            )
        )

    async def redeem(self, coupon: Coupon, order: Order, amount: Money) -> None:
        """Count a use of a locked coupon for a new order."""
        await self._count(coupon.id, order.user_id, 1)
        await self._session.execute(
            insert(coupon_redemptions).values(
                tenant_id=order.tenant_id,
                order_id=order.id,
                coupon_id=coupon.id,
                amount_minor=amount.amount_minor,
                currency=amount.currency,
                released=False,
                created_at=self._clock.now(),
            )
        )

    async def take_again(self, order: Order) -> bool:
        """Count the use of a released order that money has come for, once; the order is locked.

        Returns:
            False where others have used it up meanwhile: the order keeps its price, and the coupon's count its limit.
        """
        if order.coupon_id is None or order.coupon_code is None:
            return True
        released = await self._session.scalar(
            select(coupon_redemptions.c.released).where(coupon_redemptions.c.order_id == order.id)
        )
        coupon = await self.lock(order.coupon_code) if released else None
        if coupon is None:
            return True
        used_up = coupon.max_redemptions is not None and coupon.redemptions >= coupon.max_redemptions
        if used_up or await self.customer_refusal(coupon, order.user_id) is not None:
            return False
        await self._session.execute(
            update(coupon_redemptions).where(coupon_redemptions.c.order_id == order.id).values(released=False)
        )
        await self._count(coupon.id, order.user_id, 1)
        return True

    async def release(self, order: Order) -> bool:
        """Give a dead order's use back, once; the order is locked. Returns whether there was one to give back."""
        if order.coupon_id is None:
            return False
        await self._session.execute(select(coupons.c.id).where(coupons.c.id == order.coupon_id).with_for_update())
        released = await self._session.execute(
            update(coupon_redemptions)
            .where(coupon_redemptions.c.order_id == order.id, coupon_redemptions.c.released.is_(False))
            .values(released=True)
            .returning(coupon_redemptions.c.order_id)
        )
        if released.one_or_none() is None:
            return False
        await self._count(order.coupon_id, order.user_id, -1)
        return True
