"""The calendar of a subscription: from how it stands and the time, which step is due, and when the next one will be.

active ── reminders before the end, Mobile Money asked where that was agreed ──▶ end ──▶ past_due ── grace ──▶
suspended ──▶ ended ── warnings ──▶ deletion asked for. A cancelled one goes from its end to ``ended``; a paid renewal
leads back to ``active`` from everywhere.

Each stage is counted from when the one before it was reached, and not from the end of the period: whoever was told
late, because nothing ran for a week, keeps the whole of his grace.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from billing.domain.subscription import Subscription, SubscriptionStatus

WARNING_GAP = timedelta(days=1)
"""Between two warnings of a deletion, and between the last one and the deletion, also when they are late."""


class Step(StrEnum):
    """What the calendar asks for."""

    REMIND = "remind"
    CHARGE = "charge"
    FALL_DUE = "fall_due"
    SUSPEND = "suspend"
    END = "end"
    WARN = "warn"
    ASK_DELETION = "ask_deletion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long each stage lasts; ``reminders`` and ``warnings`` are days before their date, the largest first."""

    reminders: tuple[int, ...]
    charge_days: int
    grace: timedelta
    suspension: timedelta
    deletion: timedelta
    warnings: tuple[int, ...]

    @property
    def unpaid(self) -> timedelta:
        """How long after its end a subscription can still be renewed."""
        return self.grace + self.suspension


@dataclass(frozen=True, slots=True)
class DueStep:
    """A step and when it is due; ``days`` says which reminder or warning it is."""

    step: Step
    at: datetime
    days: int = 0


def next_step(subscription: Subscription, terms: Terms, now: datetime) -> DueStep | None:
    """Return the step that is due, or else the next one; ``None`` where nothing follows any more.

    Args:
        subscription: As it stands.
        terms: The deployment's.
        now: Of several reminders that are due at once only the last one is returned.
    """
    return {
        SubscriptionStatus.ACTIVE: _while_active,
        SubscriptionStatus.PAST_DUE: _while_past_due,
        SubscriptionStatus.SUSPENDED: _while_suspended,
        SubscriptionStatus.ENDED: _after_the_end,
    }[subscription.status](subscription, terms, now)


def next_reminder(subscription: Subscription, terms: Terms, now: datetime) -> datetime | None:
    """Return when the customer is reminded next that his subscription ends; ``None`` where he will not be."""
    if subscription.status is not SubscriptionStatus.ACTIVE or subscription.cancel_at_period_end:
        return None
    found = _reminder(subscription, terms, now)
    return found.at if found else None


def _reminder(subscription: Subscription, terms: Terms, now: datetime) -> DueStep | None:
    steps = [
        DueStep(Step.REMIND, subscription.ends_at - timedelta(days=days), days)
        for days in _untold(terms.reminders, subscription)
    ]
    late = [step for step in steps if step.at <= now]
    return late[-1] if late else next(iter(steps), None)


def _untold(days: tuple[int, ...], subscription: Subscription) -> list[int]:
    return [day for day in days if subscription.told_days is None or day < subscription.told_days]


def _while_active(subscription: Subscription, terms: Terms, now: datetime) -> DueStep | None:
    if subscription.cancel_at_period_end:
        return DueStep(Step.END, subscription.ends_at)
    if subscription.ends_at <= now:
        return DueStep(Step.FALL_DUE, subscription.ends_at)
    steps = [DueStep(Step.FALL_DUE, subscription.ends_at)]
    if reminder := _reminder(subscription, terms, now):
        steps.append(reminder)
    if subscription.auto_renew and subscription.charged_for != subscription.ends_at:
        steps.append(DueStep(Step.CHARGE, subscription.ends_at - timedelta(days=terms.charge_days)))
    return min(steps, key=lambda step: step.at)


def _while_past_due(subscription: Subscription, terms: Terms, _now: datetime) -> DueStep:
    if subscription.cancel_at_period_end:
        return DueStep(Step.END, subscription.status_since)
    return DueStep(Step.SUSPEND, subscription.status_since + terms.grace)


def _while_suspended(subscription: Subscription, terms: Terms, _now: datetime) -> DueStep:
    # A dispute suspends in the middle of a period: what is paid ahead, and its grace, run out first.
    if subscription.cancel_at_period_end:
        return DueStep(Step.END, max(subscription.status_since, subscription.ends_at))
    return DueStep(Step.END, max(subscription.status_since, subscription.ends_at + terms.grace) + terms.suspension)


def _after_the_end(subscription: Subscription, terms: Terms, _now: datetime) -> DueStep | None:
    deletion_at = subscription.status_since + terms.deletion
    if subscription.told_days == 0:
        return None
    soonest = subscription.status_since if subscription.told_days is None else subscription.stepped_at + WARNING_GAP
    for days in _untold(terms.warnings, subscription):
        return DueStep(Step.WARN, max(deletion_at - timedelta(days=days), soonest), days)
    return DueStep(Step.ASK_DELETION, max(deletion_at, soonest))
