"""Orders whose price does not hold any more when they are placed again: another one takes their place, payable."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import (
    ORDERS,
    PAYMENTS,
    Billing,
    by_momo,
    initiate,
    order_body,
    pay_by_transfer,
    place,
    subscribed,
)
from common.ids import uuid7

pytestmark = pytest.mark.integration

PENDING_FOR_EVER = "46733123454"
SHOWN = ("kind", "plan", "coupon_code", "subtotal", "discount_amount", "effective_at")
"""What both say, and no second that passes changes."""


async def coupon(billing: Billing) -> str:
    terms = {"code": f"P{uuid4().hex[:10]}".upper(), "reason": "a campaign", "percent": "10", "max_per_customer": 1}
    assert (await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=terms)).status_code == 201
    return str(terms["code"])


async def overtaken(billing: Billing, *, announced: bool = False, **changes: Any) -> tuple[Any, UUID, dict[str, Any]]:
    """An owner's order for gold, unpaid, after another owner's change to silver was paid.

    With ``announced``, he has said that a transfer for it is on its way.
    """
    owner, tenant_id = await subscribed(billing, plan_id=1)
    order = await place(owner, plan_id=3, **changes)
    if announced:
        await initiate(owner, order, 3)
    colleague = billing.client(user_id=uuid7(), tenant_id=tenant_id, roles=["owner"])
    await pay_by_transfer(billing, colleague, await place(colleague, plan_id=2))
    return owner, tenant_id, order


async def states(billing: Billing, tenant_id: UUID) -> dict[str, str]:
    rows = await billing.rows("select id, status from orders where tenant_id = $1", t=tenant_id)
    return {str(row["id"]): row["status"] for row in rows}


async def previewed(client: Any, **changes: Any) -> dict[str, Any]:
    answer = await client.post(f"{ORDERS}preview/", json=order_body(**changes))
    assert answer.status_code == 200, answer.text
    return {name: answer.json()[name] for name in SHOWN}


@pytest.mark.invariant("S92")
async def test_an_overtaken_order_is_cancelled_and_placed_anew_at_a_price_that_holds(billing: Billing) -> None:
    code = await coupon(billing)
    owner, tenant_id, order = await overtaken(billing, coupon_code=code)
    _, other = await subscribed(billing)
    before = await states(billing, tenant_id), await states(billing, other)
    shown = await previewed(owner, plan_id=3, coupon_code=code)
    assert before == (await states(billing, tenant_id), await states(billing, other)), "a preview changes nothing"
    again = await place(owner, plan_id=3, coupon_code=code)
    assert again["id"] != order["id"]
    assert {name: again[name] for name in shown} == shown
    assert int(again["credit_amount"]) > int(order["credit_amount"]), "silver's unused time, and not bronze's"
    assert await states(billing, tenant_id) == before[0] | {order["id"]: "cancelled", again["id"]: "pending"}
    assert await states(billing, other) == before[1]
    uses = await billing.rows("select redemptions from coupons where code = $1", code=code)
    assert uses[0]["redemptions"] == 1, "the one that was overtaken gave its use to the other"
    assert (await place(owner, plan_id=3, coupon_code=code))["id"] == again["id"]
    await pay_by_transfer(billing, owner, again)
    plan = await billing.rows("select plan->>'name' as name from subscriptions where tenant_id = $1", t=tenant_id)
    assert plan[0]["name"] == "gold"


@pytest.mark.invariant("S92")
async def test_a_prompt_that_nobody_answered_keeps_no_overtaken_order(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=1)
    order = await place(owner, plan_id=2)
    await by_momo(owner, order, PENDING_FOR_EVER)
    await pay_by_transfer(billing, owner, await place(owner, plan_id=3))
    again = await place(owner, plan_id=2)
    assert again["id"] != order["id"]
    assert (await states(billing, tenant_id))[order["id"]] == "cancelled"
    attempts = await billing.rows("select status from payments where order_id = $1", id=UUID(order["id"]))
    assert [one["status"] for one in attempts] == ["superseded"], "it is still watched"
    assert (await initiate(owner, again, 3))["status"] == "submitted"


async def test_a_transfer_on_its_way_keeps_an_overtaken_order_beside_the_new_one(billing: Billing) -> None:
    owner, tenant_id, order = await overtaken(billing, announced=True)
    again = await place(owner, plan_id=3)
    found = await states(billing, tenant_id)
    assert (found[order["id"]], found[again["id"]]) == ("payment_pending", "pending")
    rows = await billing.rows("select id from payments where order_id = $1", id=UUID(order["id"]))
    finance = billing.client(staff=["finance"])
    path = f"{PAYMENTS}{rows[0]['id']}/verify_bank_transfer/"
    assert (await finance.post(path, json={"approve": True})).status_code == 200, "its money is taken in, for a person"
    cases = await billing.rows("select kind from cases where payment_id = $1", id=rows[0]["id"])
    assert [case["kind"] for case in cases] == ["order_outdated"]


@pytest.mark.invariant("S92")
async def test_placing_an_overtaken_order_many_times_at_once_makes_one(billing: Billing) -> None:
    owner, tenant_id, order = await overtaken(billing)
    placed = await asyncio.gather(*(place(owner, plan_id=3) for _ in range(50)))
    assert len({one["id"] for one in placed}) == 1
    assert placed[0]["id"] != order["id"]
    unpaid = [state for state in (await states(billing, tenant_id)).values() if state == "pending"]
    assert len(unpaid) == 1


@pytest.mark.invariant("S92")
async def test_what_is_refused_now_cancels_nothing(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=1)
    renewal = await place(owner, plan_id=1, kind="renewal")
    colleague = billing.client(user_id=uuid7(), tenant_id=tenant_id, roles=["owner"])
    await pay_by_transfer(billing, colleague, await place(colleague, plan_id=2))
    for path in (f"{ORDERS}preview/", ORDERS):
        answer = await owner.post(path, json=order_body(plan_id=1, kind="renewal"))
        assert (answer.status_code, answer.json()["code"]) == (409, "renewal_of_another_plan")
    assert (await states(billing, tenant_id))[renewal["id"]] == "pending"
