"""A capture that PayPal holds back is no money yet: it is followed for days, and what it becomes in the end counts."""

from datetime import timedelta
from typing import Any

import pytest
from billing.testing import ORDERS, by_paypal, place, verify

pytestmark = pytest.mark.integration
PENDING = {"match": {"path": "*/capture"}, "effect": {"capture": "PENDING", "reason": "PENDING_REVIEW"}}


async def _held(world: Any) -> tuple[Any, dict[str, Any], dict[str, Any], str]:
    """Return a buyer, his order, its payment and the number of its capture, which PayPal holds back."""
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"}, PENDING)
    buyer = world.billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    world.billing.clock.advance(timedelta(seconds=11))
    assert (await verify(buyer, order))["payment_status"] == "pending"
    payment = (await buyer.get(f"/api/tenants/payments/{started['payment_id']}/")).json()
    assert payment["status"] == "processing"
    told = (await verify(buyer, order))["message"]
    assert told == payment["reason"]
    assert "do not pay a second time" in told, "who is told that it failed pays twice"
    events = (await world.http.get(f"{world.paypal.url}/_sim/events")).json()["results"]
    held = next(event["event"]["resource"] for event in events if event["type"] == "PAYMENT.CAPTURE.PENDING")
    return buyer, order, started, held["id"]


async def _days(world: Any, days: int) -> None:
    for _ in range(days):
        world.billing.clock.advance(timedelta(days=1))
        await world.billing.watch.ask_due()


async def _settle(world: Any, capture: str, status: str) -> None:
    answer = await world.http.post(f"{world.paypal.url}/_sim/captures/{capture}", json={"status": status})
    assert answer.status_code == 200, answer.text


@pytest.mark.invariant("S29")
async def test_a_capture_that_is_held_back_for_days_pays_once_it_is_let_go(world: Any) -> None:
    buyer, order, _, capture = await _held(world)
    await _days(world, 4)
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["payment_status"] == "pending"
    await _settle(world, capture, "COMPLETED")
    await _days(world, 1)
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["payment_status"] == "paid"
    captures = [one for one in await world.requests(world.paypal, "/v2/checkout/orders/*") if "capture" in one["path"]]
    assert len(captures) == 1


async def test_a_capture_that_is_denied_after_days_pays_nothing_and_the_order_can_be_paid_again(world: Any) -> None:
    buyer, order, started, capture = await _held(world)
    await _days(world, 2)
    await _settle(world, capture, "DECLINED")
    await _days(world, 1)
    payment = (await buyer.get(f"/api/tenants/payments/{started['payment_id']}/")).json()
    assert payment["status"] == "failed"
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["payment_status"] == "failed"
    assert (await by_paypal(buyer, order))["payment_id"] != started["payment_id"]
