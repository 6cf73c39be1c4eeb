"""Approved refunds: sent once, by PayPal or by hand, and followed to the end whatever gets lost."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import Billing, by_momo, place, until_paid

from services.billing.tests.integration.refund_steps import (
    ask,
    balances,
    paid_by_paypal,
    paid_by_transfer,
    paypal_refunds,
    record,
    refunded,
    states,
    tenant_of,
)

pytestmark = pytest.mark.integration


async def test_a_refund_whose_answer_was_lost_is_found_and_not_sent_again(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"method": "POST", "path": "/v2/payments/captures/*/refund"}, "drop": "after", "times": 1},
    )
    refund = await refunded(billing, payment_id)
    assert refund["status"] == "unknown"
    billing.clock.advance(timedelta(hours=7))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")
    assert len(await paypal_refunds(world, payment_id)) == 1
    posts = [
        request
        for request in await world.requests(world.paypal, "/v2/payments/captures/*/refund")
        if request["method"] == "POST"
    ]
    assert len(posts) == 1, "the first question is whether it arrived"


async def test_a_refund_that_never_arrived_is_sent_with_the_same_key(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"method": "POST", "path": "/v2/payments/captures/*/refund"}, "drop": "before", "times": 1},
    )
    refund = await refunded(billing, payment_id)
    assert refund["status"] == "unknown"
    billing.clock.advance(timedelta(minutes=1))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")
    keys = {
        request["headers"]["paypal-request-id"]
        for request in await world.requests(world.paypal, "/v2/payments/captures/*/refund")
    }
    assert keys == {f"refund-{refund['id']}-1"}


async def test_a_pending_refund_is_followed_until_it_is_done(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal, {"match": {"path": "/v2/payments/captures/*/refund"}, "effect": {"refund": "PENDING"}}
    )
    refund = await refunded(billing, payment_id)
    assert refund["status"] == "processing"
    assert await states(billing, order) == ("paid", "paid")
    billing.clock.advance(timedelta(days=2))
    await billing.tools.refunding.follow_due()
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_overdue"]
    (at_paypal,) = await paypal_refunds(world, payment_id)
    await world.http.post(f"{world.paypal.url}/_sim/refunds/{at_paypal['id']}", json={"status": "COMPLETED"})
    billing.clock.advance(timedelta(hours=1))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")


async def test_a_refund_that_fails_after_days_gives_back_what_may_be_refunded(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"path": "/v2/payments/captures/*/refund"}, "effect": {"refund": "PENDING"}, "times": 1},
    )
    await refunded(billing, payment_id)
    assert (await ask(billing, payment_id)).status_code == 409
    (at_paypal,) = await paypal_refunds(world, payment_id)
    await world.http.post(f"{world.paypal.url}/_sim/refunds/{at_paypal['id']}", json={"status": "FAILED"})
    billing.clock.advance(timedelta(hours=1))
    await billing.tools.refunding.follow_due()
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_failed"]
    assert await states(billing, order) == ("paid", "paid")
    assert (await refunded(billing, payment_id))["status"] == "completed"


async def test_a_refund_that_paypal_refuses_fails_and_is_shown_to_a_person(world: Any) -> None:
    billing = world.billing
    _buyer, _order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"path": "/v2/payments/captures/*/refund"}, "effect": {"issue": "REFUND_NOT_ALLOWED"}},
    )
    refund = await refunded(billing, payment_id)
    assert (refund["status"], refund["reason_code"]) == ("failed", "REFUND_NOT_ALLOWED")
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_failed"]


async def test_an_empty_paypal_account_holds_the_refund_until_it_is_filled(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {
            "match": {"path": "/v2/payments/captures/*/refund"},
            "effect": {"issue": "REFUND_FAILED_INSUFFICIENT_FUNDS"},
            "times": 1,
        },
    )
    assert (await refunded(billing, payment_id))["status"] == "unknown"
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_held"]
    billing.clock.advance(timedelta(minutes=1))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")


async def test_after_paypals_window_a_refund_goes_by_hand(world: Any) -> None:
    billing = world.billing
    _buyer, _order, payment_id = await paid_by_paypal(world)
    billing.clock.advance(timedelta(days=181))
    refund = await refunded(billing, payment_id)
    assert (refund["channel"], refund["status"]) == ("by_hand", "approved")
    assert await paypal_refunds(world, payment_id) == []


async def test_mobile_money_goes_back_by_hand_with_the_reference_of_the_movement(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order)
    await until_paid(buyer, order)
    refund = await refunded(billing, UUID(started["payment_id"]))
    assert (refund["channel"], refund["status"]) == ("by_hand", "approved")
    assert await billing.tools.refunding.follow_due() == 0
    done = await record(billing, refund, "MP261122.1234.A56789")
    assert (done.json()["status"], done.json()["refund_reference"]) == ("completed", "MP261122.1234.A56789")
    assert await states(billing, order) == ("refunded", "refunded")
    assert (await record(billing, refund, "MP261122.1234.A56790")).json()["code"] == "refund_state"
    assert await balances(billing, await tenant_of(billing, order)) == {}


async def test_one_movement_of_money_completes_one_refund(billing: Billing) -> None:
    outcomes = []
    for _ in range(2):
        _buyer, order, payment_id = await paid_by_transfer(billing)
        refund = await refunded(billing, payment_id)
        answer = await record(billing, refund, f"VIR-{billing.settings.issuer_code}-once")
        outcomes.append((answer.status_code, await states(billing, order)))
    assert outcomes == [(200, ("refunded", "refunded")), (409, ("paid", "paid"))]


async def test_a_refund_is_not_recorded_before_it_is_approved(billing: Billing) -> None:
    _buyer, order, payment_id = await paid_by_transfer(billing)
    asked = (await ask(billing, payment_id)).json()
    assert (await record(billing, asked, "VIR-early")).json()["code"] == "refund_state"
    assert await states(billing, order) == ("paid", "paid")
