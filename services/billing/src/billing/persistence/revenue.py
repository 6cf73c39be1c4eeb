"""Sums over every organization, for finance; through the staff's door only."""

from datetime import datetime

from common.clock import Clock
from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.ledger import Account, EntryKind
from billing.domain.money import Money
from billing.domain.plan import BillingCycle
from billing.domain.revenue import Flow, Revenue
from billing.domain.subscription import SubscriptionStatus
from billing.persistence.tables import ledger_entries, ledger_postings, subscription_periods, subscriptions

RUNNING = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
YEAR = BillingCycle.YEARLY.months


class RevenueFigures:
    """Reads what is booked; nothing is kept beside the ledger and the periods."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def of(self, since: datetime, until: datetime) -> Revenue:
        """Return the figures of ``[since, until)``."""
        active, at_start, ended = await self._subscriptions(since, until)
        return Revenue(
            since=since,
            until=until,
            mrr=await self._mrr(),
            active=active,
            active_at_start=at_start,
            ended=ended,
            invoiced=await self._invoiced(since, until),
            flows=await self._flows(since, until),
        )

    async def _mrr(self) -> tuple[Money, ...]:
        """Sum what one month costs of the period that each running subscription is in, half-up for yearly ones."""
        now, paid = self._clock.now(), subscription_periods.c.paid_minor
        monthly = case(
            (subscription_periods.c.billing_cycle == BillingCycle.YEARLY, func.div(paid * 2 + YEAR, 2 * YEAR)),
            else_=paid,
        )
        newest = (
            select(subscription_periods.c.tenant_id, subscription_periods.c.currency, monthly.label("month_minor"))
            .join(subscriptions, subscriptions.c.tenant_id == subscription_periods.c.tenant_id)
            .where(
                subscriptions.c.status.in_(RUNNING),
                subscription_periods.c.replaced_at.is_(None),
                subscription_periods.c.starts_at <= now,
            )
            .ext(distinct_on(subscription_periods.c.tenant_id))
            .order_by(subscription_periods.c.tenant_id, subscription_periods.c.starts_at.desc())
            .subquery()
        )
        rows = await self._session.execute(
            select(newest.c.currency, func.sum(newest.c.month_minor).label("sum"))
            .group_by(newest.c.currency)
            .order_by(newest.c.currency)
        )
        return tuple(Money(int(row.sum), row.currency) for row in rows)

    async def _subscriptions(self, since: datetime, until: datetime) -> tuple[int, int, int]:
        left = subscriptions.c.status == SubscriptionStatus.ENDED
        at_start = and_(subscriptions.c.started_at < since, or_(~left, subscriptions.c.status_since >= since))
        ended = and_(at_start, left, subscriptions.c.status_since < until)
        row = (
            await self._session.execute(
                select(
                    func.count().filter(subscriptions.c.status.in_(RUNNING)).label("active"),
                    func.count().filter(at_start).label("at_start"),
                    func.count().filter(ended).label("ended"),
                )
            )
        ).one()
        return int(row.active), int(row.at_start), int(row.ended)

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
