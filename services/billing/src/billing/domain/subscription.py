"""A subscription: what an organization has bought, until when. Its calendar is in ``domain.lifecycle``."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money
from billing.domain.period import Period, first_period, next_period
from billing.domain.plan import BillingCycle, BoughtPlan


class SubscriptionStatus(StrEnum):
    """Where a subscription stands."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED = "suspended"
    ENDED = "ended"


class Reason(StrEnum):
    """Why a subscription is suspended or has ended."""

    UNPAID = "unpaid"
    CANCELLED = "cancelled"
    DISPUTE = "dispute"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One per organization; its periods are rows of their own, one per paid order, all that lie ahead in ``currency``.

    ``told_days`` is the last reminder (or, once it has ended, warning) that was sent, ``charged_for`` the end of the
    period for whose renewal Mobile Money was asked, ``stepped_at`` the time of the last step of its calendar.
    """

    tenant_id: UUID
    plan: BoughtPlan
    cycle: BillingCycle
    status: SubscriptionStatus
    currency: str
    anchor_day: int
    started_at: datetime
    ends_at: datetime
    version: int
    status_since: datetime
    stepped_at: datetime
    reason: Reason | None = None
    cancel_at_period_end: bool = False
    auto_renew: bool = False
    auto_renew_phone: str | None = None
    charged_for: datetime | None = None
    told_days: int | None = None

    def keeps_its_currency(self, now: datetime) -> bool:
        """Say whether orders for it have to be in its currency: while something is paid ahead, or its grace runs.

        After that nothing of it is credited or followed any more, and it may begin again in another one.
        """
        over = self.status in {SubscriptionStatus.SUSPENDED, SubscriptionStatus.ENDED} and self.ends_at <= now
        return not over


@dataclass(frozen=True, slots=True)
class BoughtPeriod:
    """A period with what bought it; ``replaced_at`` where it was struck out before its end.

    ``replaced_by`` is the change of plan that did, ``credited`` what that gave back of its order's money.
    """

    order_id: UUID
    plan: BoughtPlan
    cycle: BillingCycle
    period: Period
    replaced_at: datetime | None
    replaced_by: UUID | None
    credited: Money


def period_bought(
    subscription: Subscription | None, cycle: BillingCycle, now: datetime, *, at_once: bool, trial_days: int = 0
) -> Period:
    """Return the period that a newly paid order brings.

    It follows the former one, also where it is paid within the grace, for that was served. Nobody pays for the time
    in which he was suspended: then, and where all of it would be over already, it starts now.

    Args:
        subscription: The running one, or ``None`` for a new organization.
        cycle: What was bought.
        now: When the money was there.
        at_once: Whether it replaces the rest of the running period (an upgrade) instead of following it.
        trial_days: Free days before the first paid period that an organization ever has.
    """
    if subscription is None:
        return first_period(now, cycle, trial_days)
    if at_once or subscription.status is SubscriptionStatus.ENDED:
        return first_period(now, cycle)
    following = next_period(subscription.ends_at, cycle, subscription.anchor_day)
    unserved = subscription.status is SubscriptionStatus.SUSPENDED and subscription.ends_at <= now
    return first_period(now, cycle) if unserved or following.ends_at <= now else following
