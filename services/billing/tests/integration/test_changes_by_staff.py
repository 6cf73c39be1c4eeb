"""Finance changes an organization's plan as its owner would: at his price, told to him, audited, and once."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from billing.testing import Billing, pay_by_transfer, place, subscribed
from common.ids import uuid7

from services.billing.tests.integration.test_changes import balances, subscription

pytestmark = pytest.mark.integration

SILVER = {"plan_id": 2, "billing_cycle": "monthly", "reason": "asked for by telephone"}


async def change(billing: Billing, tenant_id: UUID, who: Any = None, headers: Any = None, **wanted: Any) -> Any:
    finance = billing.client(**(who or {"staff": ["finance"]}))
    return await finance.post(
        f"/api/admin/organizations/{tenant_id}/plan/", json=SILVER | wanted, headers=headers or {}
    )


async def count(billing: Billing, query: str, tenant_id: UUID) -> int:
    return len(await billing.rows(query, t=tenant_id))


async def orders_of(billing: Billing, tenant_id: UUID) -> int:
    return await count(billing, "select 1 from orders where tenant_id = $1", tenant_id)


async def coupon(billing: Billing) -> str:
    code = f"GESTE{uuid7().hex[-10:]}".upper()
    made = await billing.client(staff=["finance"]).post(
        "/api/admin/coupons/", json={"code": code, "percent": "100", "max_redemptions": 1, "reason": "a night lost"}
    )
    assert made.status_code == 201, made.text
    return code


async def test_the_customer_pays_what_he_would_have_paid_himself(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=1)
    _other, others = await subscribed(billing, plan_id=1)
    answer = await change(billing, tenant_id)
    assert answer.status_code == 201, answer.text
    order = answer.json()
    assert (order["kind"], order["status"], order["plan"]["name"]) == ("change", "pending", "silver")
    assert int(order["total_amount"]) == 50_000 - order["proration"]["credit_minor"]
    assert (await subscription(billing, tenant_id))["plan"] == "bronze"
    mail = "select 1 from mails where tenant_id = $1 and key = 'order_received:' || '" + order["id"] + "'"
    assert await count(billing, mail, tenant_id) == 1
    assert (await place(owner, plan_id=2))["id"] == order["id"], "what he orders himself is the same order"
    await pay_by_transfer(billing, owner, order)
    assert (await subscription(billing, tenant_id))["plan"] == "silver"
    facts = "select 1 from outbox where tenant_id = $1 and type = 'subscription.plan_changed.v1'"
    assert await count(billing, facts, tenant_id) == 1
    assert await orders_of(billing, others) == 1
    assert (await subscription(billing, others))["plan"] == "bronze"


async def test_a_coupon_of_finance_pays_it_at_once_and_the_books_stay_square(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing, plan_id=1)
    before = await balances(billing, tenant_id)
    order = (await change(billing, tenant_id, coupon_code=await coupon(billing))).json()
    assert (order["status"], order["total_amount"]) == ("completed", "0")
    assert (await subscription(billing, tenant_id))["plan"] == "silver"
    assert sum((await balances(billing, tenant_id)).values()) == 0
    assert (await balances(billing, tenant_id))["clearing:bank_transfer"] == before["clearing:bank_transfer"]


async def test_it_is_in_the_organizations_log_with_its_reason(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing, plan_id=1)
    me = uuid7()
    order = (await change(billing, tenant_id, {"user_id": me, "staff": ["finance"]})).json()
    (act,) = await billing.rows(
        "select * from audit_log where tenant_id = $1 and action = 'plan.change_ordered_by_staff'", t=tenant_id
    )
    assert (act["actor"], act["target"], act["reason"]) == (str(me), order["id"], SILVER["reason"])


async def test_the_second_click_orders_nothing_more(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing, plan_id=1)
    at_once = await asyncio.gather(*(change(billing, tenant_id) for _ in range(50)))
    assert {answer.status_code for answer in at_once} == {201}
    assert len({answer.json()["id"] for answer in at_once}) == 1
    assert await orders_of(billing, tenant_id) == 2
    free = {"coupon_code": await coupon(billing), "plan_id": 3}
    key = {"Idempotency-Key": "a-click"}
    me = {"user_id": uuid7(), "staff": ["finance"]}
    first, second = [await change(billing, tenant_id, me, key, **free) for _ in range(2)]
    assert (first.status_code, first.json()) == (201, second.json())
    unchanged = await change(billing, tenant_id, me, **free)
    assert (unchanged.status_code, unchanged.json()["code"]) == (409, "plan_unchanged")
    assert await orders_of(billing, tenant_id) == 3


async def test_who_may_not_and_what_cannot_be_changes_nothing(billing: Billing) -> None:
    me = uuid7()
    order = await place(billing.client(user_id=me))
    await pay_by_transfer(billing, billing.client(user_id=me), order)
    mine = await billing.provision(order)
    own = await change(billing, mine, {"user_id": me, "staff": ["finance"]})
    assert (own.status_code, own.json()["code"]) == (403, "same_person_changes")
    assert (await change(billing, mine, {"staff": ["support"]})).status_code == 403
    owner = {"user_id": me, "tenant_id": mine, "roles": ["owner"]}
    assert (await change(billing, mine, owner)).status_code == 403
    nobody = await change(billing, uuid7())
    assert (nobody.status_code, nobody.json()["code"]) == (404, "subscription_not_found")
    assert (await change(billing, mine, reason="")).status_code == 422
    assert (await change(billing, mine, plan_id=999)).json()["code"] == "plan_not_found"
    assert await orders_of(billing, mine) == 1
    reads = "select * from audit_log where tenant_id = $1 and action = 'subscription.read_by_staff'"
    rows = await billing.rows(reads, t=mine)
    assert [(row["actor"], row["reason"]) for row in rows][:1] == [(str(me), SILVER["reason"])]
    assert len(rows) == 2, "what a refused act has read is in the log too"


@pytest.mark.invariant("S38")
async def test_a_plan_that_is_too_small_is_refused_to_finance_too(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing, plan_id=3)
    for _ in range(5):
        await billing.told(tenant_id, "member.joined", {"user_id": str(uuid7()), "role": "member"})
    refused = await change(billing, tenant_id, plan_id=1, effective="now")
    assert (refused.status_code, refused.json()["code"]) == (409, "downgrade_over_usage")
    assert (await subscription(billing, tenant_id))["plan"] == "gold"


async def test_a_smaller_plan_that_waits_can_be_taken_back(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=2)
    smaller = (await change(billing, tenant_id, plan_id=1, effective="period_end")).json()
    if smaller["status"] != "completed":
        await pay_by_transfer(billing, owner, smaller)
    assert (await subscription(billing, tenant_id))["plan"] == "silver"
    back = await change(billing, tenant_id, plan_id=2)
    assert back.status_code == 201, back.text
