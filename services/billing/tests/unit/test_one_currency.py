"""No sum of two currencies: what is credited, what a coupon takes off, what a provider is told to charge."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from billing.adapters.mtn_momo import MoMoConfig, MtnMoMo
from billing.adapters.paypal import PayPal, PayPalConfig
from billing.adapters.provider_http import MixedSettings
from billing.domain.catalogue import CURRENCIES, PLANS
from billing.domain.charging import charge_for
from billing.domain.coupon import Coupon, CouponRefusal
from billing.domain.money import Money, MoneyError
from billing.domain.period import Period
from billing.domain.plan import BillingCycle
from billing.domain.pricing import VAT_CAMEROON, amounts
from billing.domain.proration import PaidAhead, Proration
from billing.domain.subscription import Subscription, SubscriptionStatus
from common.ids import uuid7
from common.testing import FrozenClock
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

NOW = datetime(2027, 6, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)
HTTP = httpx.AsyncClient()
currencies = st.sampled_from(CURRENCIES)


def coupon(**terms: Any) -> Coupon:
    facts: dict[str, Any] = {
        "id": uuid7(), "code": "PROMO", "percent_hundredths": None, "fixed": {}, "valid_from": None, "valid_until": None,
        "plan_ids": (), "minimum": {}, "max_redemptions": None, "max_per_customer": None, "redemptions": 0,
    }  # fmt: skip
    return Coupon(**(facts | terms))


def paid_ahead(period: Period, cost: int, currency: str) -> PaidAhead:
    return PaidAhead(uuid7(), period, Money(cost, currency), Money(cost, currency))


def test_every_plan_has_a_price_in_each_currency_and_cycle() -> None:
    for plan in PLANS:
        for cycle in BillingCycle:
            assert plan.currencies(cycle) == sorted(CURRENCIES)


@pytest.mark.invariant("S16")
@pytest.mark.parametrize("terms", [{"percent_hundredths": 5_000}, {"fixed": {"XAF": 1_000, "USD": 100}}])
def test_a_minimum_is_not_left_out_by_paying_in_a_currency_that_it_does_not_name(terms: dict[str, Any]) -> None:
    given_terms = coupon(minimum={"XAF": 60_000}, **terms)
    refusals = {
        currency: given_terms.refusal(plan_id=1, subtotal=Money(100_000, currency), now=NOW) for currency in CURRENCIES
    }
    assert refusals == {"XAF": None, "EUR": CouponRefusal.OTHER_CURRENCY, "USD": CouponRefusal.OTHER_CURRENCY}
    below = given_terms.refusal(plan_id=1, subtotal=Money(59_999, "XAF"), now=NOW)
    assert below is CouponRefusal.BELOW_MINIMUM


@given(price=st.integers(0, 10**10), fixed=st.dictionaries(currencies, st.integers(1, 10**10)), currency=currencies)
def test_a_fixed_amount_takes_off_what_it_says_in_the_orders_currency(
    price: int, fixed: dict[str, int], currency: str
) -> None:
    discount = coupon(fixed=fixed).discount(Money(price, currency))
    assert discount == Money(min(fixed.get(currency, 0), price), currency)


periods = st.lists(
    st.tuples(st.integers(-60, 60), st.integers(1, 400), st.integers(0, 10**8)),
    max_size=4,
    unique_by=lambda one: one[0],
).map(
    lambda found: [
        (Period(NOW + first * HOUR, NOW + (first + long) * HOUR, 16), cost)
        for first, long, cost in found
        if first + long > 0
    ]
)


@pytest.mark.invariant("S16")
@given(found=periods, currency=currencies)
def test_unused_time_is_credited_in_its_currency_and_never_above_its_cost(
    found: list[tuple[Period, int]], currency: str
) -> None:
    proration = Proration.of([paid_ahead(period, cost, currency) for period, cost in found], NOW)
    assert Money.zero(currency) <= proration.credit(currency) <= Money(sum(cost for _, cost in found), currency)
    assert all(one.credit <= one.cost for one in proration.unused)
    for other in set(CURRENCIES) - {currency}:
        if found:
            with pytest.raises(MoneyError):
                proration.credit(other)
    price = Money(10**6, currency)
    total = amounts(price, Money.zero(currency), VAT_CAMEROON, proration.credit(currency))
    assert total.credit <= price
    assert total.total >= Money.zero(currency)


@pytest.mark.invariant("S16")
@given(found=periods, later=st.integers(0, 200), currency=currencies)
def test_what_a_change_credits_is_all_that_is_paid_for_or_its_price_does_not_hold(
    found: list[tuple[Period, int]], later: int, currency: str
) -> None:
    paid = [paid_ahead(period, cost, currency) for period, cost in found]
    proration = Proration.read(Proration.of(paid, NOW).document())
    at = NOW + later * HOUR
    ahead = [one for one in paid if one.period.ends_at > at]
    assert proration.is_of(ahead, at)
    came_since = paid_ahead(Period(at, at + 900 * HOUR, 16), 1, currency)
    assert not proration.is_of([*ahead, came_since], at)
    if ahead:
        assert not proration.is_of(ahead[1:], at)
        was = ahead[0].period
        moved = replace(ahead[0], period=Period(was.starts_at - HOUR, was.ends_at - timedelta(seconds=1), 16))
        assert not proration.is_of([moved, *ahead[1:]], at)


@pytest.mark.parametrize(
    ("status", "ends_in", "keeps"),
    [
        ("active", HOUR, True),
        ("active", -HOUR, True),
        ("past_due", -HOUR, True),
        ("suspended", HOUR, True),
        ("suspended", -HOUR, False),
        ("ended", -HOUR, False),
        ("ended", HOUR, True),
    ],
)
def test_a_subscription_keeps_its_currency_while_anything_is_paid_ahead_or_its_grace_runs(
    status: str, ends_in: timedelta, keeps: bool
) -> None:
    subscription = Subscription(
        tenant_id=uuid7(),
        plan=PLANS[1].bought(),
        cycle=BillingCycle.MONTHLY,
        status=SubscriptionStatus(status),
        currency="EUR",
        anchor_day=16,
        started_at=NOW - 1000 * HOUR,
        ends_at=NOW + ends_in,
        version=1,
        status_since=NOW,
        stepped_at=NOW,
    )
    assert subscription.keeps_its_currency(NOW) is keeps


@pytest.mark.invariant("S19")
@given(due=st.integers(1, 10**10), currency=currencies)
def test_each_provider_is_told_the_total_itself_or_francs_at_the_parity(due: int, currency: str) -> None:
    paypal = PayPal(PayPalConfig("https://api-m.paypal.com", "id", "secret"), HTTP, FrozenClock().now)
    charged = paypal.charges(currency)
    assert charged == {"XAF": "EUR", "EUR": "EUR", "USD": "USD"}[currency]
    charge = charge_for(Money(due, currency), charged, whole_units=False)
    if currency == "XAF":
        assert (charge.rate_numerator, charge.rate_denominator) == (655_957, 1_000)
        assert charge.amount.currency == "EUR"
    else:
        assert charge.amount == Money(due, currency)


@pytest.mark.parametrize("held", [frozenset({"EUR"}), frozenset({"USD"}), frozenset()])
def test_paypal_charges_only_what_the_account_holds(held: frozenset[str]) -> None:
    config = PayPalConfig("https://api-m.paypal.com", "id", "secret", currencies=held)
    paypal = PayPal(config, HTTP, FrozenClock().now)
    assert {currency for currency in CURRENCIES if paypal.charges(currency)} == held | {"XAF"}
    assert paypal.charges("GBP") is None


def test_paypal_is_not_set_up_with_what_it_does_not_take() -> None:
    with pytest.raises(MixedSettings, match="XAF"):
        PayPalConfig("https://api-m.paypal.com", "id", "secret", currencies=frozenset({"EUR", "XAF"}))


@pytest.mark.parametrize(
    ("target", "host", "currency"),
    [
        ("mtncameroon", "https://proxy.momoapi.mtn.com", "XAF"),
        ("sandbox", "https://sandbox.momodeveloper.mtn.com", "EUR"),
    ],
)
def test_mobile_money_pays_orders_in_francs_only_also_in_its_sandbox(target: str, host: str, currency: str) -> None:
    config = MoMoConfig(
        base_url=host,
        subscription_key="key",
        api_user="user",
        api_key="key",
        target_environment=target,
        currency=currency,
    )
    momo = MtnMoMo(config, HTTP, FrozenClock().now)
    assert {one: momo.charges(one) for one in CURRENCIES} == {"XAF": currency, "EUR": None, "USD": None}
