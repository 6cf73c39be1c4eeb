"""States move by rank, so the same news in any order and number ends in the same state."""

import pytest
from billing.domain.order import OrderPaymentStatus, OrderStatus, payment_status
from billing.domain.payment import OFFERED, WATCHED, PaymentStatus, poll_pause
from billing.domain.transitions import ORDER_MOVES, PAYMENT_RANK, order_may_become, payment_may_become
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
news = st.lists(st.sampled_from(list(PaymentStatus)), min_size=1, max_size=30)


def after(states: list[PaymentStatus]) -> PaymentStatus:
    current = PaymentStatus.PENDING
    for state in states:
        if payment_may_become(current, state):
            current = state
    return current


@pytest.mark.invariant("S22")
@given(states=news, seed=st.randoms())
def test_any_order_of_the_same_news_ends_at_the_same_rank(states: list[PaymentStatus], seed: object) -> None:
    shuffled = list(states) * 2
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert (
        PAYMENT_RANK[after(states)]
        == PAYMENT_RANK[after(shuffled)]
        == max(PAYMENT_RANK[state] for state in [*states, PaymentStatus.PENDING])
    )


@pytest.mark.invariant("S22")
@given(states=news)
def test_a_payment_never_goes_back(states: list[PaymentStatus]) -> None:
    ranks = [PAYMENT_RANK[after(states[:length])] for length in range(len(states) + 1)]
    assert ranks == sorted(ranks)


def test_processing_and_unknown_alternate() -> None:
    assert payment_may_become(PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN)
    assert payment_may_become(PaymentStatus.UNKNOWN, PaymentStatus.PROCESSING)
    assert not payment_may_become(PaymentStatus.PROCESSING, PaymentStatus.PENDING)


def test_a_failed_or_quarantined_payment_can_still_complete() -> None:
    for state in (PaymentStatus.SUPERSEDED, PaymentStatus.FAILED, PaymentStatus.QUARANTINED):
        assert payment_may_become(state, PaymentStatus.COMPLETED)


@pytest.mark.invariant("S26")
def test_no_order_state_before_payment_is_terminal_against_money() -> None:
    for state in (OrderStatus.PENDING, OrderStatus.PAYMENT_PENDING, OrderStatus.FAILED, OrderStatus.CANCELLED):
        assert order_may_become(state, OrderStatus.PAID)


def test_every_order_state_is_in_the_table_and_a_settled_order_is_never_unpaid_again() -> None:
    assert set(ORDER_MOVES) == set(OrderStatus)
    for settled in (OrderStatus.PAID, OrderStatus.PROCESSING, OrderStatus.COMPLETED):
        assert not ORDER_MOVES[settled] & {
            OrderStatus.PENDING,
            OrderStatus.PAYMENT_PENDING,
            OrderStatus.FAILED,
            OrderStatus.CANCELLED,
        }


@pytest.mark.invariant("S26")
def test_money_of_an_attempt_that_another_one_replaced_is_still_looked_for() -> None:
    assert PaymentStatus.SUPERSEDED in WATCHED - OFFERED


def test_every_payment_state_has_a_rank_and_what_is_offered_is_watched() -> None:
    assert set(PAYMENT_RANK) == set(PaymentStatus)
    assert OFFERED < WATCHED


@pytest.mark.parametrize(
    ("status", "facts", "expected"),
    [
        (OrderStatus.PENDING, {}, OrderPaymentStatus.UNPAID),
        (OrderStatus.PAYMENT_PENDING, {"has_open": True}, OrderPaymentStatus.PENDING),
        (OrderStatus.FAILED, {"has_failed": True}, OrderPaymentStatus.FAILED),
        (OrderStatus.PAID, {"covered": True}, OrderPaymentStatus.PAID),
        (OrderStatus.COMPLETED, {"covered": True, "has_failed": True}, OrderPaymentStatus.PAID),
        (OrderStatus.REFUNDED, {"covered": True}, OrderPaymentStatus.REFUNDED),
    ],
)
def test_what_an_order_says_of_its_payment(
    status: OrderStatus, facts: dict[str, bool], expected: OrderPaymentStatus
) -> None:
    given = {"covered": False, "has_open": False, "has_failed": False} | facts
    assert payment_status(status, **given) is expected


def test_questions_become_rarer_but_never_end() -> None:
    pauses = [poll_pause(polls) for polls in range(30)]
    assert pauses == sorted(pauses)
    assert pauses[-1].total_seconds() == 900
