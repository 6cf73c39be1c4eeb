"""Transfers that finance registers: money for which no submitted payment waits is never refused, nor let in by one."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, PAYMENTS, Billing, by_momo, initiate, place, until_paid, verify
from common.ids import uuid7

pytestmark = pytest.mark.integration


async def register(client: Any, order: dict[str, Any], amount: str = "50000", **more: Any) -> Any:
    body = {"amount": amount, "reason": "on statement 12, quoted without its suffix"}
    return await client.post(f"/api/admin/orders/{order['id']}/transfers/", json=body, **more)


async def check(client: Any, payment_id: str, **body: Any) -> Any:
    return await client.post(f"{PAYMENTS}{payment_id}/verify_bank_transfer/", json={"approve": True} | body)


async def credit(billing: Billing, order: dict[str, Any]) -> int:
    rows = await billing.rows(
        "select coalesce(sum(-amount_minor), 0)::bigint as minor from ledger_postings p join orders o using (tenant_id)"
        " where o.id = $1 and p.account = 'customer_credit'",
        id=UUID(order["id"]),
    )
    return int(rows[0]["minor"])


@pytest.mark.invariant("S40")
async def test_an_unannounced_transfer_pays_once_another_person_has_approved_it(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    maker, checker = billing.client(staff=["finance"]), billing.client(staff=["finance"])
    made = await register(maker, order)
    assert (made.status_code, made.json()["status"]) == (201, "submitted")
    assert (await verify(buyer, order))["payment_status"] == "pending"
    own = await check(maker, made.json()["id"])
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    assert (await check(checker, made.json()["id"])).status_code == 200
    assert (await verify(buyer, order))["payment_status"] == "paid"


@pytest.mark.invariant("S24")
@pytest.mark.invariant("S26")
async def test_a_transfer_that_comes_after_its_order_was_paid_otherwise_becomes_credit(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    announced = await initiate(buyer, order, 3)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    maker, checker = billing.client(staff=["finance"]), billing.client(staff=["finance"])
    refused = await check(checker, announced["payment_id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_not_submitted")
    made = await register(maker, order)
    assert (await check(checker, made.json()["id"])).status_code == 200
    assert await credit(billing, order) == 50_000
    periods = await billing.rows("select 1 from subscription_periods where order_id = $1", id=UUID(order["id"]))
    invoices = await billing.rows("select 1 from invoices where order_id = $1", id=UUID(order["id"]))
    assert (len(periods), len(invoices)) == (1, 1)


@pytest.mark.invariant("S26")
async def test_a_transfer_that_was_rejected_and_is_found_later_pays_its_order(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    announced = await initiate(buyer, order, 3)
    maker, checker = billing.client(staff=["finance"]), billing.client(staff=["finance"])
    await check(checker, announced["payment_id"], approve=False, note="not on any statement")
    assert (await buyer.post(f"{ORDERS}{order['id']}/cancel/")).status_code == 200
    made = await register(maker, order)
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["status"] == "cancelled"
    assert (await check(checker, made.json()["id"])).status_code == 200
    assert (await verify(buyer, order))["status"] == "paid"


async def test_a_repeated_request_registers_one_and_approvals_at_once_take_it_in_once(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    maker = billing.client(user_id=uuid7(), staff=["finance"])
    key = {"headers": {"idempotency-key": "statement-12-line-4"}}
    answers = await asyncio.gather(*(register(maker, order, "60000", **key) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    (payment_id,) = {answer.json()["id"] for answer in answers}
    checks = await asyncio.gather(*(check(billing.client(staff=["admin"]), payment_id) for _ in range(50)))
    assert sorted(answer.status_code for answer in checks) == [200] + [409] * 49
    assert await credit(billing, order) == 10_000


async def test_only_finance_registers_for_an_order_that_is_there_and_others_see_nothing(billing: Billing) -> None:
    buyer, stranger = billing.client(), billing.client()
    order = await place(buyer)
    for client in (buyer, billing.client(staff=["support"])):
        assert (await register(client, order)).json()["code"] == "staff_only"
    finance = billing.client(staff=["finance"])
    missing = await register(finance, {"id": str(uuid7())})
    assert (missing.status_code, missing.json()["code"]) == (404, "order_not_found")
    for amount in ("0", "-1", "1.5", "x"):
        assert (await register(finance, order, amount)).json()["code"] == "amount_invalid"
    made = await register(finance, order)
    assert (await stranger.get(f"{PAYMENTS}{made.json()['id']}/")).status_code == 404
    rows = await billing.rows("select reason from audit_log where target = $1", t=made.json()["id"])
    assert [row["reason"] for row in rows] == ["on statement 12, quoted without its suffix"]
