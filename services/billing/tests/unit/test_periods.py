"""Paid periods in calendar months, the anchor day kept."""

from datetime import UTC, datetime, timedelta

import pytest
from billing.domain.money import Money
from billing.domain.period import Period, first_period, months_after, next_period, unused_part
from billing.domain.plan import BillingCycle
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
moments = st.datetimes(datetime(2024, 1, 1), datetime(2040, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}T09:30:00+00:00")


@pytest.mark.invariant("S37")
@pytest.mark.parametrize(
    ("start", "ends"),
    [
        ("2026-01-31", ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("2028-01-30", ["2028-02-29", "2028-03-30"]),
        ("2026-12-15", ["2027-01-15", "2027-02-15"]),
    ],
)
def test_months_keep_their_anchor_day(start: str, ends: list[str]) -> None:
    period = first_period(at(start), BillingCycle.MONTHLY)
    found = [period.ends_at]
    for _ in ends[1:]:
        period = next_period(period.ends_at, BillingCycle.MONTHLY, period.anchor_day)
        found.append(period.ends_at)
    assert found == [at(end) for end in ends]


@pytest.mark.invariant("S37")
def test_a_year_from_a_leap_day_ends_on_the_last_of_february_and_comes_back() -> None:
    first = first_period(at("2028-02-29"), BillingCycle.YEARLY)
    assert first.ends_at == at("2029-02-28")
    assert months_after(first.ends_at, 36, first.anchor_day) == at("2032-02-29")


@given(start=moments, count=st.integers(1, 40))
def test_periods_follow_each_other_without_gap_whatever_the_day(start: datetime, count: int) -> None:
    period = first_period(start, BillingCycle.MONTHLY)
    for _ in range(count):
        following = next_period(period.ends_at, BillingCycle.MONTHLY, period.anchor_day)
        assert following.starts_at == period.ends_at
        assert timedelta(days=28) <= following.ends_at - following.starts_at <= timedelta(days=31)
        period = following
    assert period.ends_at == months_after(start, count + 1, start.day)


@given(paid=st.integers(0, 10**7), share=st.integers(0, 31 * 86_400))
def test_the_unused_part_is_between_nothing_and_everything(paid: int, share: int) -> None:
    period = first_period(at("2026-01-01"), BillingCycle.MONTHLY)
    unused = unused_part(Money(paid, "XAF"), period, period.starts_at + timedelta(seconds=share))
    assert 0 <= unused.amount_minor <= paid


def test_half_a_period_gives_half_the_price_back() -> None:
    period = Period(at("2026-06-01"), at("2026-07-01"), 1)
    assert unused_part(Money(50_000, "XAF"), period, at("2026-06-16")) == Money(25_000, "XAF")
    assert unused_part(Money(50_000, "XAF"), period, at("2026-08-01")) == Money(0, "XAF")
    assert unused_part(Money(50_000, "XAF"), period, at("2026-05-01")) == Money(50_000, "XAF")
