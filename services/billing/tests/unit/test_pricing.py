"""Prices, discounts and taxes, over many amounts in several currencies."""

import random

import pytest
from billing.domain.catalogue import PLANS
from billing.domain.coupon import Coupon, normalised
from billing.domain.invoice import invoice_lines
from billing.domain.money import Money
from billing.domain.order import Customer, Order, OrderKind, OrderPaymentStatus, OrderStatus
from billing.domain.plan import BillingCycle, BoughtPlan
from billing.domain.pricing import VAT_CAMEROON, Amounts, amounts
from common.ids import uuid7
from common.testing import FrozenClock
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
CURRENCIES = ("XAF", "EUR", "USD", "JPY")

priced = st.builds(Money, st.integers(0, 10**9), st.sampled_from(CURRENCIES))


def order_of(price: Amounts) -> Order:
    return Order(
        tenant_id=uuid7(),
        id=uuid7(),
        user_id=uuid7(),
        number="ORD-20261122-23456789AB",
        kind=OrderKind.NEW,
        plan=PLANS[0].bought(),
        cycle=BillingCycle.MONTHLY,
        customer=Customer("X", "x@example.com"),
        language="fr",
        amounts=price,
        coupon_id=None,
        coupon_code="PROMO",
        status=OrderStatus.PENDING,
        payment_status=OrderPaymentStatus.UNPAID,
        allocated_minor=0,
        fingerprint="",
        effective_at=None,
        created_at=FrozenClock().now(),
    )


@pytest.mark.invariant("S18")
@pytest.mark.parametrize("currency", CURRENCIES)
def test_the_lines_of_an_invoice_sum_to_its_total_in_100_000_random_cases(currency: str) -> None:
    chance = random.Random(20261122)
    for _ in range(25_000):
        price = Money(chance.randrange(0, 10**8), currency)
        discount = Money(chance.randrange(0, 10**8), currency)
        credit = Money(chance.choice([0, chance.randrange(0, 10**7)]), currency)
        priced = amounts(price, discount, VAT_CAMEROON if chance.random() < 0.5 else (), credit)
        total = 0
        total += priced.subtotal.amount_minor - priced.discount.amount_minor - priced.credit.amount_minor
        total += sum(line.amount.amount_minor for line in priced.taxes)
        assert total == priced.total.amount_minor >= 0


@pytest.mark.invariant("S18")
@given(price=priced, discount=st.integers(0, 10**9), taxed=st.booleans())
def test_the_printed_lines_sum_to_the_total(price: Money, discount: int, taxed: bool) -> None:
    rates = VAT_CAMEROON if taxed else ()
    order = order_of(amounts(price, Money(discount, price.currency), rates))
    assert sum(line.total.amount_minor for line in invoice_lines(order)) == order.amounts.total.amount_minor


@pytest.mark.invariant("S20")
@given(price=priced, discount=st.integers(0, 10**10), credit=st.integers(0, 10**10))
def test_a_total_is_never_negative_and_a_discount_never_exceeds_the_price(
    price: Money, discount: int, credit: int
) -> None:
    found = amounts(price, Money(discount, price.currency), VAT_CAMEROON, Money(credit, price.currency))
    assert found.total.amount_minor >= 0
    assert found.discount <= price
    assert found.credit <= price - found.discount


@pytest.mark.invariant("S35")
@pytest.mark.parametrize(
    ("net", "vat", "surcharge"), [(25_000, 4_375, 438), (50_000, 8_750, 875), (100_000, 17_500, 1_750), (10, 2, 0)]
)
def test_vat_and_its_surcharge_are_each_rounded_half_up_once(net: int, vat: int, surcharge: int) -> None:
    found = amounts(Money(net, "XAF"), Money(0, "XAF"), VAT_CAMEROON)
    assert [line.amount.amount_minor for line in found.taxes] == [vat, surcharge]
    assert found.total.amount_minor == net + vat + surcharge


@pytest.mark.invariant("S35")
def test_an_issuer_that_is_not_registered_charges_no_tax() -> None:
    found = amounts(Money(25_000, "XAF"), Money(0, "XAF"), ())
    assert (found.taxes, found.tax, found.total) == ((), Money(0, "XAF"), Money(25_000, "XAF"))


def coupon(**terms: object) -> Coupon:
    facts: dict[str, object] = {
        "id": uuid7(),
        "code": "PROMO",
        "percent_hundredths": None,
        "fixed": {},
        "valid_from": None,
        "valid_until": None,
        "plan_ids": (),
        "minimum": {},
        "max_redemptions": None,
        "max_per_customer": None,
        "redemptions": 0,
    }
    return Coupon(**(facts | terms))  # type: ignore[arg-type]


@pytest.mark.invariant("S20")
@given(price=priced, percent=st.integers(0, 10_000))
def test_a_percentage_takes_off_between_nothing_and_everything(price: Money, percent: int) -> None:
    discount = coupon(percent_hundredths=percent).discount(price)
    assert Money.zero(price.currency) <= discount <= price
    exact = price.amount_minor * percent
    assert abs(discount.amount_minor * 10_000 - exact) <= 5_000


@given(price=priced, fixed=st.integers(0, 10**10))
def test_a_fixed_amount_never_exceeds_the_price(price: Money, fixed: int) -> None:
    discount = coupon(fixed={price.currency: fixed}).discount(price)
    assert discount == Money(min(fixed, price.amount_minor), price.currency)


def test_a_code_is_read_without_regard_to_case_and_blanks() -> None:
    assert normalised("  promo2024 ") == "PROMO2024"


def test_a_bought_plan_survives_its_document() -> None:
    for plan in PLANS:
        document = plan.bought().document() | {"of_a_later_version": 1}
        assert BoughtPlan.of(document) == plan.bought()
