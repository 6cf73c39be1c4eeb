"""A subscription as its members see it."""

from datetime import datetime
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field

from billing.api.schemas.orders import PlanRef
from billing.domain.lifecycle import Terms, next_reminder
from billing.domain.order import Order
from billing.domain.subscription import BoughtPeriod, Subscription

SHOWN_DIGITS = 3
"""How many digits of a stored number are shown: enough to know one's own."""


class AutoRenewIn(Body):
    enabled: bool
    phone_number: str | None = Field(None, max_length=40)


class PeriodOut(Answer):
    """One paid period; one that an upgrade has replaced, or a refund struck out, ended at `replaced_at`."""

    order_id: UUID
    plan: PlanRef
    billing_cycle: str
    starts_at: datetime
    ends_at: datetime
    replaced_at: datetime | None

    @classmethod
    def of(cls, bought: BoughtPeriod) -> "PeriodOut":
        return cls(
            order_id=bought.order_id,
            plan=PlanRef(id=bought.plan.id, name=bought.plan.name, display_name=bought.plan.display_name),
            billing_cycle=bought.cycle,
            starts_at=bought.period.starts_at,
            ends_at=bought.period.ends_at,
            replaced_at=bought.replaced_at,
        )


class SubscriptionOut(Answer):
    status: str
    reason: str | None
    plan: PlanRef
    billing_cycle: str
    currency: str
    started_at: datetime
    ends_at: datetime
    cancel_at_period_end: bool
    auto_renew: bool
    auto_renew_phone: str | None
    next_reminder_at: datetime | None
    renewal_order_id: UUID | None
    periods: list[PeriodOut]

    @classmethod
    def of(
        cls,
        subscription: Subscription,
        periods: list[BoughtPeriod],
        renewal: Order | None,
        terms: Terms,
        now: datetime,
    ) -> "SubscriptionOut":
        phone = subscription.auto_renew_phone
        plan = subscription.plan
        return cls(
            status=subscription.status,
            reason=subscription.reason,
            plan=PlanRef(id=plan.id, name=plan.name, display_name=plan.display_name),
            billing_cycle=subscription.cycle,
            currency=subscription.currency,
            started_at=subscription.started_at,
            ends_at=subscription.ends_at,
            cancel_at_period_end=subscription.cancel_at_period_end,
            auto_renew=subscription.auto_renew,
            auto_renew_phone=f"•••{phone[-SHOWN_DIGITS:]}" if phone else None,
            next_reminder_at=next_reminder(subscription, terms, now),
            renewal_order_id=renewal.id if renewal else None,
            periods=[PeriodOut.of(bought) for bought in periods],
        )
