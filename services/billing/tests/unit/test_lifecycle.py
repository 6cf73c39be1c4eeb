"""Which step of a subscription is due, and when: no I/O."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from billing.domain.catalogue import PLANS
from billing.domain.lifecycle import DueStep, Step, Terms, next_reminder, next_step
from billing.domain.plan import BillingCycle
from billing.domain.subscription import Reason, Subscription, SubscriptionStatus, period_bought
from common.ids import uuid7
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

START = datetime(2026, 1, 31, 9, tzinfo=UTC)
END = datetime(2026, 2, 28, 9, tzinfo=UTC)
DAY = timedelta(days=1)
TERMS = Terms(
    reminders=(7, 3, 1),
    charge_days=3,
    grace=7 * DAY,
    suspension=30 * DAY,
    deletion=60 * DAY,
    warnings=(30, 7, 1),
)


def subscription(**changes: Any) -> Subscription:
    return replace(
        Subscription(
            tenant_id=uuid7(),
            plan=PLANS[1].bought(),
            cycle=BillingCycle.MONTHLY,
            currency="XAF",
            status=SubscriptionStatus.ACTIVE,
            anchor_day=31,
            started_at=START,
            ends_at=END,
            version=1,
            status_since=START,
            stepped_at=START,
        ),
        **changes,
    )


@pytest.mark.parametrize(
    ("told", "now", "step"),
    [
        (None, START, DueStep(Step.REMIND, END - 7 * DAY, 7)),
        (7, END - 6 * DAY, DueStep(Step.REMIND, END - 3 * DAY, 3)),
        (3, END - 2 * DAY, DueStep(Step.REMIND, END - DAY, 1)),
        (1, END - DAY, DueStep(Step.FALL_DUE, END)),
        # Of those that were missed only the last one is sent, and none once the end has come.
        (None, END - 2 * DAY, DueStep(Step.REMIND, END - 3 * DAY, 3)),
        (None, END, DueStep(Step.FALL_DUE, END)),
    ],
)
def test_reminders_come_before_the_end_each_once(told: int | None, now: datetime, step: DueStep) -> None:
    assert next_step(subscription(told_days=told), TERMS, now) == step


def test_grace_and_suspension_are_counted_from_when_the_customer_was_told() -> None:
    late = END + 20 * DAY
    due = subscription(status=SubscriptionStatus.PAST_DUE, status_since=late)
    assert next_step(due, TERMS, late) == DueStep(Step.SUSPEND, late + TERMS.grace)
    suspended = subscription(status=SubscriptionStatus.SUSPENDED, status_since=late)
    assert next_step(suspended, TERMS, late) == DueStep(Step.END, late + TERMS.suspension)


def test_a_dispute_in_the_middle_of_a_period_ends_it_only_after_what_was_paid() -> None:
    disputed = subscription(status=SubscriptionStatus.SUSPENDED, status_since=START + DAY, reason=Reason.DISPUTE)
    assert next_step(disputed, TERMS, START + DAY) == DueStep(Step.END, END + TERMS.unpaid)


def test_a_cancelled_subscription_ends_on_its_day_and_reminds_nobody() -> None:
    cancelled = subscription(cancel_at_period_end=True)
    assert next_step(cancelled, TERMS, START) == DueStep(Step.END, END)
    assert next_reminder(cancelled, TERMS, START) is None
    assert next_reminder(subscription(), TERMS, START) == END - 7 * DAY
    past = replace(cancelled, status=SubscriptionStatus.PAST_DUE, status_since=END)
    assert next_step(past, TERMS, END + DAY) == DueStep(Step.END, END)


def test_mobile_money_is_asked_once_for_each_end() -> None:
    agreed = subscription(auto_renew=True, told_days=3)
    assert next_step(agreed, TERMS, END - 3 * DAY) == DueStep(Step.CHARGE, END - 3 * DAY)
    asked = replace(agreed, charged_for=END)
    assert next_step(asked, TERMS, END - 3 * DAY) == DueStep(Step.REMIND, END - DAY, 1)


def test_deletion_is_asked_for_after_three_warnings_however_late_the_first_was() -> None:
    late = END + 59 * DAY
    now, ended = late, subscription(status=SubscriptionStatus.ENDED, status_since=END, stepped_at=END)
    taken = []
    while (step := next_step(ended, TERMS, now)) is not None:
        now = max(now, step.at)
        taken.append((step.step, step.days, now))
        ended = replace(ended, told_days=step.days, stepped_at=now)
    assert taken == [
        (Step.WARN, 30, late),
        (Step.WARN, 7, late + DAY),
        (Step.WARN, 1, late + 2 * DAY),
        (Step.ASK_DELETION, 0, late + 3 * DAY),
    ]


@pytest.mark.invariant("S37")
@pytest.mark.parametrize(
    ("status", "now", "starts"),
    [
        (SubscriptionStatus.ACTIVE, END - 5 * DAY, END),
        (SubscriptionStatus.PAST_DUE, END + 5 * DAY, END),
        # Nobody pays for the time in which he was suspended, nor for one that is over.
        (SubscriptionStatus.SUSPENDED, END + 15 * DAY, END + 15 * DAY),
        (SubscriptionStatus.SUSPENDED, END - 15 * DAY, END),
        (SubscriptionStatus.PAST_DUE, END + 40 * DAY, END + 40 * DAY),
        (SubscriptionStatus.ENDED, END + 90 * DAY, END + 90 * DAY),
    ],
)
def test_a_renewal_starts_at_the_old_end_unless_it_was_not_served(
    status: SubscriptionStatus, now: datetime, starts: datetime
) -> None:
    period = period_bought(subscription(status=status), BillingCycle.MONTHLY, now, at_once=False)
    assert period.starts_at == starts
    assert period.ends_at > now


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.booleans())
def test_whenever_one_looks_each_step_is_taken_once_and_in_order(pauses: list[int], auto_renew: bool) -> None:
    """Looks at any times, takes what is due, and compares with the order that the stages have."""
    now, current, taken = START, subscription(auto_renew=auto_renew), []
    moves = {
        Step.FALL_DUE: SubscriptionStatus.PAST_DUE,
        Step.SUSPEND: SubscriptionStatus.SUSPENDED,
        Step.END: SubscriptionStatus.ENDED,
    }
    for pause in [*pauses, 400, 400, 400, 400, 400, 400, 400]:
        now += pause * DAY
        while (step := next_step(current, TERMS, now)) is not None and step.at <= now:
            taken.append((step.step, step.days))
            if step.step is Step.CHARGE:
                current = replace(current, charged_for=current.ends_at)
            elif step.step in moves:
                current = replace(current, status=moves[step.step], status_since=now, stepped_at=now, told_days=None)
            else:
                current = replace(current, told_days=step.days, stepped_at=now)
    assert len(set(taken)) == len(taken)
    stages = [step for step, _ in taken if step in moves]
    assert stages == [Step.FALL_DUE, Step.SUSPEND, Step.END]
    assert [days for step, days in taken if step is Step.WARN] == [30, 7, 1]
    assert taken[-1] == (Step.ASK_DELETION, 0)
    reminders = [days for step, days in taken if step is Step.REMIND]
    assert reminders == sorted(reminders, reverse=True)
