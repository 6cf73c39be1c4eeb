"""Paid periods: calendar months with the anchor day kept: after 31 January come 28 February and 31 March."""

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.domain.money import Money
from billing.domain.plan import BillingCycle


@dataclass(frozen=True, slots=True)
class Period:
    """From ``starts_at`` (included) to ``ends_at`` (excluded); ``anchor_day`` is the day of the month it aims at."""

    starts_at: datetime
    ends_at: datetime
    anchor_day: int


def months_after(start: datetime, months: int, anchor_day: int) -> datetime:
    """Return the same time of day ``months`` later, on the anchor day or the month's last one before it."""
    ordinal = start.year * 12 + start.month - 1 + months
    year, month = divmod(ordinal, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(anchor_day, last))


def first_period(at: datetime, cycle: BillingCycle, trial_days: int = 0) -> Period:
    """Return the period of a subscription that starts now: free days, then the paid months, whose first day is the
    anchor from then on.
    """
    paid_from = at + timedelta(days=trial_days)
    return Period(at, months_after(paid_from, cycle.months, paid_from.day), paid_from.day)


def next_period(end: datetime, cycle: BillingCycle, anchor_day: int) -> Period:
    """Return the period that follows an old end."""
    return Period(end, months_after(end, cycle.months, anchor_day), anchor_day)


def unused_part(paid: Money, period: Period, now: datetime) -> Money:
    """Return the share of a period's price that lies ahead, to the second, half-up."""
    whole = int((period.ends_at - period.starts_at).total_seconds())
    ahead = int((period.ends_at - max(now, period.starts_at)).total_seconds())
    return paid.share(max(ahead, 0), whole) if whole > 0 else Money.zero(paid.currency)
