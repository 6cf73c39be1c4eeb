"""A subscription: what an organization has bought, until when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from billing.domain.period import Period, first_period, next_period
from billing.domain.plan import BillingCycle, BoughtPlan


class SubscriptionStatus(StrEnum):
    """Where a subscription stands."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED = "suspended"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One per organization; its periods are rows of their own, one per paid order."""

    tenant_id: UUID
    plan: BoughtPlan
    cycle: BillingCycle
    status: SubscriptionStatus
    anchor_day: int
    started_at: datetime
    ends_at: datetime
    version: int


def period_bought(subscription: Subscription | None, cycle: BillingCycle, now: datetime, *, at_once: bool) -> Period:
    """Return the period that a newly paid order brings.

    Args:
        subscription: The running one, or ``None`` for a new organization.
        cycle: What was bought.
        now: When the money was there.
        at_once: Whether it replaces the rest of the running period (an upgrade) instead of following it.
    """
    if subscription is None or at_once or subscription.status is SubscriptionStatus.ENDED:
        return first_period(now, cycle)
    return next_period(subscription.ends_at, cycle, subscription.anchor_day)
