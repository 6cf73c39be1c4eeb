"""Subscriptions and their periods: one period per paid order, so a replay brings no second one."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import Row, and_, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.order import Order
from billing.domain.period import Period
from billing.domain.plan import BillingCycle, BoughtPlan
from billing.domain.proration import PaidAhead
from billing.domain.refund import COUNTED, UNDERWAY
from billing.domain.subscription import BoughtPeriod, Reason, Subscription, SubscriptionStatus
from billing.persistence.tables import orders, refunds, subscription_periods, subscriptions

CLAIM = timedelta(minutes=5)
"""How long a subscription is left to the process that took it: longer than its step may take."""


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        tenant_id=row.tenant_id,
        plan=BoughtPlan.of(row.plan),
        cycle=BillingCycle(row.billing_cycle),
        currency=row.currency,
        status=SubscriptionStatus(row.status),
        anchor_day=row.anchor_day,
        started_at=row.started_at,
        ends_at=row.ends_at,
        version=row.version,
        status_since=row.status_since,
        stepped_at=row.stepped_at,
        reason=Reason(row.reason) if row.reason else None,
        cancel_at_period_end=row.cancel_at_period_end,
        auto_renew=row.auto_renew,
        auto_renew_phone=row.auto_renew_phone,
        charged_for=row.charged_for,
        told_days=row.told_days,
    )


def _paid_ahead(row: Row[Any]) -> PaidAhead:
    """Return a period with what of its price has not gone back, nor is about to: a refund takes its share of the
    money, never of the credit.
    """
    credit = Money(row.credit_minor, row.currency)
    paid = Money(row.paid_minor, row.currency) - credit
    money = Money(max(row.total_minor - row.refunded_minor - int(row.underway_minor), 0), row.currency)
    return PaidAhead(
        row.order_id,
        Period(row.starts_at, row.ends_at, row.anchor_day),
        credit + paid.share(money.amount_minor, row.total_minor or 1),
        money,
    )


def _bought(row: Row[Any]) -> BoughtPeriod:
    return BoughtPeriod(
        row.order_id,
        BoughtPlan.of(row.plan),
        BillingCycle(row.billing_cycle),
        Period(row.starts_at, row.ends_at, row.anchor_day),
        row.replaced_at,
        row.replaced_by,
        Money(row.credited_minor, row.currency),
    )


class Subscriptions:
    """The tenant's subscription. Whatever moves its end has its calendar looked at again soon."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def find(self, tenant_id: UUID) -> Subscription | None:
        """Return the subscription, unlocked."""
        row = (
            await self._session.execute(select(subscriptions).where(subscriptions.c.tenant_id == tenant_id))
        ).one_or_none()
        return _subscription(row) if row else None

    async def lock(self, tenant_id: UUID) -> Subscription | None:
        """Return the subscription and hold it; taken after order, payment and coupon."""
        row = (
            await self._session.execute(
                select(subscriptions).where(subscriptions.c.tenant_id == tenant_id).with_for_update()
            )
        ).one_or_none()
        return _subscription(row) if row else None

    async def periods_ahead(self, at: datetime) -> list[PaidAhead]:
        """Return the periods that are not over at ``at``, and what each cost; refunds that are asked for count."""
        underway = (
            select(func.coalesce(func.sum(refunds.c.from_order_minor), 0))
            .where(
                refunds.c.tenant_id == orders.c.tenant_id,
                refunds.c.order_id == orders.c.id,
                refunds.c.status.in_(UNDERWAY),
            )
            .scalar_subquery()
        )
        rows = await self._session.execute(
            select(
                subscription_periods,
                orders.c.credit_minor,
                orders.c.total_minor,
                orders.c.refunded_minor,
                underway.label("underway_minor"),
            )
            .join(
                orders,
                and_(
                    orders.c.tenant_id == subscription_periods.c.tenant_id,
                    orders.c.id == subscription_periods.c.order_id,
                ),
            )
            .where(subscription_periods.c.ends_at > at, subscription_periods.c.replaced_at.is_(None))
            .order_by(subscription_periods.c.starts_at)
        )
        return [_paid_ahead(row) for row in rows]

    async def add_period(self, order: Order, period: Period) -> bool:
        """Record the period that an order bought; False where it has one already."""
        inserted = await self._session.execute(
            insert(subscription_periods)
            .values(
                tenant_id=order.tenant_id,
                order_id=order.id,
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                paid_minor=order.amounts.worth.amount_minor,
                currency=order.amounts.currency,
                starts_at=period.starts_at,
                ends_at=period.ends_at,
                anchor_day=period.anchor_day,
            )
            .on_conflict_do_nothing()
            .returning(subscription_periods.c.order_id)
        )
        return inserted.one_or_none() is not None

    async def replace_periods(self, change: Order, at: datetime) -> None:
        """Mark the periods that a change cut short with it, and with what of their money it gave back."""
        await self._session.execute(
            update(subscription_periods)
            .where(
                subscription_periods.c.ends_at > at,
                subscription_periods.c.replaced_at.is_(None),
                subscription_periods.c.order_id != change.id,
            )
            .values(replaced_at=at, replaced_by=change.id)
        )
        for one in change.proration.unused if change.proration else ():
            # One that ran out between the order and its payment is over, and was credited all the same.
            await self._session.execute(
                update(subscription_periods)
                .where(subscription_periods.c.order_id == one.order_id)
                .values(replaced_by=change.id, credited_minor=one.money.amount_minor)
            )

    async def replaced_since(self, at: datetime) -> bool:
        """Say whether an upgrade has cut a period short after ``at``."""
        found = await self._session.scalar(
            select(subscription_periods.c.order_id).where(subscription_periods.c.replaced_at >= at).limit(1)
        )
        return found is not None

    async def paid_ahead_is_of(self, plan_id: int) -> bool:
        """Say whether the period that ends last is of a plan; True where nothing is paid for."""
        last = await self._session.scalar(
            select(subscription_periods.c.plan)
            .where(subscription_periods.c.replaced_at.is_(None))
            .order_by(subscription_periods.c.ends_at.desc())
            .limit(1)
        )
        return last is None or BoughtPlan.of(last).id == plan_id

    async def refunded_since(self, at: datetime) -> bool:
        """Say whether money of any period went back, or was asked back, after ``at``."""
        found = await self._session.scalar(
            select(refunds.c.id)
            .where(refunds.c.created_at >= at, refunds.c.status.in_(COUNTED), refunds.c.from_order_minor > 0)
            .limit(1)
        )
        return found is not None

    async def withdraw(self, order_id: UUID, at: datetime) -> Period | None:
        """Take back what lies ahead of the period that an order bought; ``None`` where nothing of it does.

        The running one is cut short, one that has not begun is struck out. Returns it as it was.
        """
        live = (
            subscription_periods.c.order_id == order_id,
            subscription_periods.c.ends_at > at,
            subscription_periods.c.replaced_at.is_(None),
        )
        row = (await self._session.execute(select(subscription_periods).where(*live))).one_or_none()
        if row is None:
            return None
        instant = timedelta(microseconds=1)
        change = {"ends_at": max(at, row.starts_at + instant)} if row.starts_at <= at else {"replaced_at": at}
        await self._session.execute(update(subscription_periods).where(*live).values(**change))
        return Period(row.starts_at, row.ends_at, row.anchor_day)

    async def move_up(self, after: datetime, by: timedelta) -> dict[UUID, datetime]:
        """Let the periods that begin after a withdrawn one begin earlier; returns their orders and new beginnings."""
        moved = await self._session.execute(
            update(subscription_periods)
            .where(subscription_periods.c.starts_at > after, subscription_periods.c.replaced_at.is_(None))
            .values(
                starts_at=subscription_periods.c.starts_at - literal(by),
                ends_at=subscription_periods.c.ends_at - literal(by),
            )
            .returning(subscription_periods.c.order_id, subscription_periods.c.starts_at)
        )
        return {row.order_id: row.starts_at for row in moved}

    async def shorten(self, tenant_id: UUID, ends_at: datetime) -> None:
        """Let a locked subscription end earlier."""
        await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id == tenant_id)
            .values(ends_at=ends_at, version=subscriptions.c.version + 1, next_step_at=self._clock.now())
        )

    async def start(self, order: Order, period: Period) -> None:
        """Insert the subscription of a new organization."""
        now = self._clock.now()
        await self._session.execute(
            insert(subscriptions).values(
                tenant_id=order.tenant_id,
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                currency=order.amounts.currency,
                status=SubscriptionStatus.ACTIVE,
                anchor_day=period.anchor_day,
                started_at=period.starts_at,
                ends_at=period.ends_at,
                version=1,
                status_since=now,
                stepped_at=now,
                next_step_at=now,
            )
        )

    async def prolong(self, tenant_id: UUID, period: Period) -> None:
        """Move the end of a locked subscription; its plan stays until the new period begins."""
        await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id == tenant_id)
            .values(
                ends_at=period.ends_at,
                version=subscriptions.c.version + 1,
                cancel_at_period_end=False,
                told_days=None,
                next_step_at=self._clock.now(),
            )
        )

    async def period_of(self, order_id: UUID) -> Period | None:
        """Return the period that an order bought; ``None`` where an upgrade has replaced it."""
        row = (
            await self._session.execute(
                select(subscription_periods).where(
                    subscription_periods.c.order_id == order_id, subscription_periods.c.replaced_at.is_(None)
                )
            )
        ).one_or_none()
        return Period(row.starts_at, row.ends_at, row.anchor_day) if row else None

    async def bought(self, order_id: UUID) -> BoughtPeriod | None:
        """Return the period that an order bought, whatever became of it."""
        row = (
            await self._session.execute(select(subscription_periods).where(subscription_periods.c.order_id == order_id))
        ).one_or_none()
        return _bought(row) if row else None

    async def switch(self, order: Order, ends_at: datetime) -> None:
        """Let a locked subscription have an order's plan from now on."""
        await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id == order.tenant_id)
            .values(
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                ends_at=ends_at,
                version=subscriptions.c.version + 1,
            )
        )

    async def extend(self, order: Order, period: Period, *, is_held: bool) -> None:
        """Move a locked subscription to a newly bought period: active, and a cancellation is taken back.

        One that ``is_held`` by a dispute is, or stays, suspended for it. In another currency than before, the consent
        to be asked for renewals does not hold any more, and its number goes.
        """
        now, is_same = self._clock.now(), subscriptions.c.currency == order.amounts.currency
        await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id == order.tenant_id)
            .values(
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                auto_renew=and_(subscriptions.c.auto_renew, is_same),
                auto_renew_phone=case((is_same, subscriptions.c.auto_renew_phone)),
                currency=order.amounts.currency,
                status=SubscriptionStatus.SUSPENDED if is_held else SubscriptionStatus.ACTIVE,
                anchor_day=period.anchor_day,
                ends_at=period.ends_at,
                version=subscriptions.c.version + 1,
                status_since=now,
                reason=Reason.DISPUTE if is_held else None,
                cancel_at_period_end=False,
                told_days=None,
                next_step_at=now,
            )
        )

    async def save(self, subscription: Subscription) -> None:
        """Write how a locked subscription stands; its version is one more than the row's."""
        await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id == subscription.tenant_id)
            .values(
                status=subscription.status,
                status_since=subscription.status_since,
                stepped_at=subscription.stepped_at,
                reason=subscription.reason,
                cancel_at_period_end=subscription.cancel_at_period_end,
                auto_renew=subscription.auto_renew,
                auto_renew_phone=subscription.auto_renew_phone,
                charged_for=subscription.charged_for,
                told_days=subscription.told_days,
                version=subscription.version,
                next_step_at=self._clock.now(),
            )
        )

    async def look_again(self, tenant_id: UUID, at: datetime | None) -> None:
        """Set when a locked subscription's calendar is looked at next; never, for ``None``."""
        await self._session.execute(
            update(subscriptions).where(subscriptions.c.tenant_id == tenant_id).values(next_step_at=at)
        )

    async def claim_due(self, limit: int) -> list[UUID]:
        """Take the subscriptions whose time has come; through the janitor's door.

        One statement takes them and puts them off by `CLAIM`, so that each has one taker at a time; a taker that dies
        leaves them to another one after that.
        """
        now = self._clock.now()
        due = (
            select(subscriptions.c.tenant_id)
            .where(subscriptions.c.next_step_at <= now)
            .order_by(subscriptions.c.next_step_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        taken = await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id.in_(select(due.c.tenant_id)))
            .values(next_step_at=now + CLAIM)
            .returning(subscriptions.c.tenant_id)
        )
        return list(taken.scalars())

    async def history(self) -> list[BoughtPeriod]:
        """Return all periods of the tenant, newest first."""
        rows = await self._session.execute(
            select(subscription_periods).order_by(subscription_periods.c.starts_at.desc())
        )
        return [_bought(row) for row in rows]

    async def last_period(self) -> tuple[UUID, Period] | None:
        """Return the tenant's period that ends last, and its order; a struck out one only where there is no other."""
        row = (
            await self._session.execute(
                select(subscription_periods)
                .order_by(subscription_periods.c.replaced_at.is_not(None), subscription_periods.c.ends_at.desc())
                .limit(1)
            )
        ).one_or_none()
        return (row.order_id, Period(row.starts_at, row.ends_at, row.anchor_day)) if row else None
