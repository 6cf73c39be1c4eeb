"""Subscriptions and their periods: one period per paid order, so a replay brings no second one."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.order import Order
from billing.domain.period import Period
from billing.domain.plan import BillingCycle, BoughtPlan
from billing.domain.subscription import Subscription, SubscriptionStatus
from billing.persistence.tables import subscription_periods, subscriptions


def _subscription(row: Row[Any]) -> Subscription:
    return Subscription(
        tenant_id=row.tenant_id,
        plan=BoughtPlan.of(row.plan),
        cycle=BillingCycle(row.billing_cycle),
        status=SubscriptionStatus(row.status),
        anchor_day=row.anchor_day,
        started_at=row.started_at,
        ends_at=row.ends_at,
        version=row.version,
    )


class Subscriptions:
    """The tenant's subscription."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

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

    async def periods_ahead(self, at: datetime) -> list[tuple[Period, Money]]:
        """Return the periods that are not over at ``at``, with what was paid for each before tax."""
        rows = await self._session.execute(
            select(subscription_periods)
            .where(subscription_periods.c.ends_at > at, subscription_periods.c.replaced_at.is_(None))
            .order_by(subscription_periods.c.starts_at)
        )
        return [
            (Period(row.starts_at, row.ends_at, row.anchor_day), Money(row.paid_minor, row.currency)) for row in rows
        ]

    async def add_period(self, order: Order, period: Period) -> bool:
        """Record the period that an order bought; False where it has one already."""
        inserted = await self._session.execute(
            insert(subscription_periods)
            .values(
                tenant_id=order.tenant_id,
                order_id=order.id,
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                paid_minor=order.amounts.net.amount_minor,
                currency=order.amounts.currency,
                starts_at=period.starts_at,
                ends_at=period.ends_at,
                anchor_day=period.anchor_day,
            )
            .on_conflict_do_nothing()
            .returning(subscription_periods.c.order_id)
        )
        return inserted.one_or_none() is not None

    async def replace_periods(self, at: datetime, keep: UUID) -> None:
        """Mark periods that an upgrade cut short, all but that of the order ``keep``."""
        await self._session.execute(
            update(subscription_periods)
            .where(
                subscription_periods.c.ends_at > at,
                subscription_periods.c.replaced_at.is_(None),
                subscription_periods.c.order_id != keep,
            )
            .values(replaced_at=at)
        )

    async def replaced_since(self, at: datetime) -> bool:
        """Say whether an upgrade has cut a period short after ``at``."""
        found = await self._session.scalar(
            select(subscription_periods.c.order_id).where(subscription_periods.c.replaced_at >= at).limit(1)
        )
        return found is not None

    async def start(self, order: Order, period: Period) -> None:
        """Insert the subscription of a new organization."""
        await self._session.execute(
            insert(subscriptions).values(
                tenant_id=order.tenant_id,
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                status=SubscriptionStatus.ACTIVE,
                anchor_day=period.anchor_day,
                started_at=period.starts_at,
                ends_at=period.ends_at,
                version=1,
            )
        )

    async def prolong(self, tenant_id: UUID, period: Period) -> None:
        """Move the end of a locked subscription; its plan stays until the new period begins."""
        await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id == tenant_id)
            .values(ends_at=period.ends_at, version=subscriptions.c.version + 1)
        )

    async def period_of(self, order_id: UUID) -> Period | None:
        """Return the period that an order bought."""
        row = (
            await self._session.execute(select(subscription_periods).where(subscription_periods.c.order_id == order_id))
        ).one_or_none()
        return Period(row.starts_at, row.ends_at, row.anchor_day) if row else None

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

    async def extend(self, order: Order, period: Period) -> None:
        """Move a locked subscription to a newly bought period."""
        await self._session.execute(
            update(subscriptions)
            .where(subscriptions.c.tenant_id == order.tenant_id)
            .values(
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                status=SubscriptionStatus.ACTIVE,
                anchor_day=period.anchor_day,
                ends_at=period.ends_at,
                version=subscriptions.c.version + 1,
            )
        )
