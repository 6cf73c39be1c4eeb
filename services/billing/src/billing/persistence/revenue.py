"""Sums over every organization, for finance; through the staff's door only."""

from datetime import datetime, timedelta
from typing import Any

from common.clock import Clock
from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.ledger import Account, EntryKind
from billing.domain.money import Money
from billing.domain.order import OrderStatus
from billing.domain.plan import BillingCycle
from billing.domain.revenue import Flow, Revenue
from billing.domain.subscription import SubscriptionStatus
from billing.persistence.tables import (
    ledger_entries,
    ledger_postings,
    orders,
    refunds,
    subscription_periods,
    subscriptions,
)

YEAR = BillingCycle.YEARLY.months


class RevenueFigures:
    """Reads what is booked; nothing is kept beside the ledger and the periods."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def of(self, since: datetime, until: datetime, grace: timedelta) -> Revenue:
        """Return the figures of ``[since, until)``, of the past part of it where it is not over.

        Args:
            since: Its beginning.
            until: Its end.
            grace: How long after its last period a subscription that nobody has ended still runs.
        """
        now = self._clock.now()
        first, last = min(since, now), min(until, now)
        start, end = _running_at(first, grace), _running_at(last, grace)
        left = ~select(end.c.tenant_id).where(end.c.tenant_id == start.c.tenant_id).exists()
        mrr, active = await self._sum(select(end))
        mrr_at_start, active_at_start = await self._sum(select(start))
        mrr_churned, ended = await self._sum(select(start).where(left))
        return Revenue(
            since=since,
            until=until,
            mrr=mrr,
            mrr_at_start=mrr_at_start,
            mrr_churned=mrr_churned,
            active=active,
            active_at_start=active_at_start,
            ended=ended,
            invoiced=await self._invoiced(since, until),
            flows=await self._flows(since, until),
        )

    async def _sum(self, running: Select[Any]) -> tuple[tuple[Money, ...], int]:
        """Return what a month of them costs, by currency, and how many they are."""
        found = running.subquery()
        rows = await self._session.execute(
            select(found.c.currency, func.sum(found.c.month_minor).label("sum"), func.count().label("organizations"))
            .group_by(found.c.currency)
            .order_by(found.c.currency)
        )
        sums = [(Money(int(row.sum), row.currency), row.organizations) for row in rows]
        return tuple(money for money, _count in sums), sum(count for _money, count in sums)

    async def _invoiced(self, since: datetime, until: datetime) -> tuple[Money, ...]:
        rows = await self._session.execute(
            select(ledger_postings.c.currency, func.sum(-ledger_postings.c.amount_minor).label("sum"))
            .join(ledger_entries, _same_entry())
            .where(
                ledger_postings.c.account == Account.REVENUE,
                ledger_entries.c.booked_at >= since,
                ledger_entries.c.booked_at < until,
            )
            .group_by(ledger_postings.c.currency)
            .order_by(ledger_postings.c.currency)
        )
        return tuple(Money(int(row.sum), row.currency) for row in rows)

    async def _flows(self, since: datetime, until: datetime) -> tuple[Flow, ...]:
        amount, kind = ledger_postings.c.amount_minor, ledger_entries.c.kind
        rows = await self._session.execute(
            select(
                ledger_postings.c.account,
                ledger_postings.c.currency,
                func.coalesce(func.sum(amount).filter(kind == EntryKind.PAYMENT), 0).label("received"),
                func.coalesce(func.sum(-amount).filter(kind == EntryKind.REFUND), 0).label("refunded"),
            )
            .join(ledger_entries, _same_entry())
            .where(
                ledger_postings.c.account.startswith(f"{Account.CLEARING}:"),
                ledger_entries.c.booked_at >= since,
                ledger_entries.c.booked_at < until,
            )
            .group_by(ledger_postings.c.account, ledger_postings.c.currency)
            .order_by(ledger_postings.c.account, ledger_postings.c.currency)
        )
        return tuple(
            Flow(
                row.account.partition(":")[2],
                Money(int(row.received), row.currency),
                Money(int(row.refunded), row.currency),
            )
            for row in rows
        )


def _same_entry() -> ColumnElement[bool]:
    return and_(
        ledger_entries.c.tenant_id == ledger_postings.c.tenant_id, ledger_entries.c.id == ledger_postings.c.entry_id
    )


def _running_at(at: datetime, grace: timedelta) -> Subquery:
    """Return who ran at an instant, in what currency, and what a month of it cost, half-up for yearly periods.

    From period rows, which say the same whenever they are read: the newest that had begun and was not replaced, until
    its end and the grace. Where nobody can renew it any more (its money went back, or the subscription was ended)
    there is no grace.
    """
    period, paid = subscription_periods.c, subscription_periods.c.paid_minor
    monthly = case(
        (period.billing_cycle == BillingCycle.YEARLY, func.div(paid * 2 + YEAR, 2 * YEAR)),
        else_=paid,
    )
    newest = (
        select(period.tenant_id, period.order_id, period.currency, period.ends_at, monthly.label("month_minor"))
        .where(period.starts_at <= at, or_(period.replaced_at.is_(None), period.replaced_at > at))
        .ext(distinct_on(period.tenant_id))
        .order_by(period.tenant_id, period.starts_at.desc())
        .subquery()
    )
    later = refunds.c.completed_at > at
    same = and_(refunds.c.tenant_id == newest.c.tenant_id, refunds.c.order_id == newest.c.order_id)
    given_back = and_(orders.c.status == OrderStatus.REFUNDED, ~select(refunds.c.id).where(same, later).exists())
    ended = and_(subscriptions.c.status == SubscriptionStatus.ENDED, subscriptions.c.status_since <= at)
    return (
        select(newest.c.tenant_id, newest.c.currency, newest.c.month_minor)
        .join(orders, and_(orders.c.tenant_id == newest.c.tenant_id, orders.c.id == newest.c.order_id))
        .join(subscriptions, subscriptions.c.tenant_id == newest.c.tenant_id)
        .where(~given_back, or_(newest.c.ends_at > at, and_(newest.c.ends_at + grace > at, ~ended)))
        .subquery()
    )
