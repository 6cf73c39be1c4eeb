"""What billing tells the others: each fact once, in the transaction of what it tells of."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import PAYMENTS, Billing, by_momo, initiate, pay_by_transfer, place, subscribed, verify
from common.audit import Sealer
from common.ids import uuid7
from common.testing import eventually

pytestmark = pytest.mark.integration


async def told(billing: Billing, tenant_id: UUID, fact: str) -> list[dict[str, Any]]:
    rows = await billing.rows(
        "select envelope from outbox where tenant_id = $1 and type = $2 order by position", t=tenant_id, f=f"{fact}.v1"
    )
    return [json.loads(row["envelope"]) for row in rows]


async def tenant_of(billing: Billing, order: dict[str, Any]) -> UUID:
    rows = await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"]))
    return UUID(str(rows[0]["tenant_id"]))


async def test_an_order_is_told_of_once_however_often_it_is_placed(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    assert (await place(buyer))["id"] == order["id"]
    (fact,) = await told(billing, await tenant_of(billing, order), "order.placed")
    assert fact["data"] == {
        "order_id": order["id"],
        "order_number": order["order_number"],
        "kind": "new",
        "plan": "silver",
        "billing_cycle": "monthly",
        "amount_minor": 50_000,
        "currency": "XAF",
    }


async def test_a_failed_payment_is_told_of_with_its_reason(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order, "46733123451")

    async def failed() -> bool:
        billing.clock.advance(timedelta(seconds=4))
        return (await verify(buyer, order))["status"] == "failed"

    await eventually(failed, what="the payment to fail")
    await verify(buyer, order)
    (fact,) = await told(billing, await tenant_of(billing, order), "payment.failed")
    assert (fact["data"]["payment_id"], fact["data"]["reason_code"]) == (started["payment_id"], "APPROVAL_REJECTED")


async def test_a_rejected_transfer_is_a_failed_payment(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    started = await initiate(buyer, order, 3)
    body = {"approve": False, "note": "never arrived"}
    staff = billing.client(staff=["finance"])
    assert (await staff.post(f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json=body)).status_code == 200
    (fact,) = await told(billing, await tenant_of(billing, order), "payment.failed")
    assert (fact["data"]["method"], fact["data"]["reason_code"]) == ("bank_transfer", "transfer_rejected")


async def test_an_invoice_is_told_of_with_its_number(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    (fact,) = await told(billing, tenant_id, "invoice.issued")
    (invoice,) = (await owner.get("/api/tenants/invoices/")).json()["results"]
    assert (fact["data"]["invoice_id"], fact["data"]["invoice_number"]) == (invoice["id"], invoice["invoice_number"])
    assert (fact["data"]["amount_minor"], fact["data"]["tax_minor"]) == (50_000, 0)


@pytest.mark.invariant("S74")
async def test_a_refund_that_shortens_a_subscription_is_told_with_the_new_end(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    first_end = (await owner.get("/api/tenants/subscription/")).json()["ends_at"]
    renewal = await place(owner)
    await pay_by_transfer(billing, owner, renewal)
    rows = await billing.rows(
        "select id from payments where order_id = $1 and status = 'completed'", id=UUID(renewal["id"])
    )
    maker, checker, sender = (billing.client(staff=["finance"]) for _ in range(3))
    why = {"reason": "paid twice by mistake"}
    refund = (await maker.post(f"/api/admin/payments/{rows[0]['id']}/refunds/", json=why)).json()
    path = f"/api/admin/refunds/{refund['id']}"
    assert (await checker.post(f"{path}/approve/", json=why)).status_code == 200
    body = why | {"reference": f"BANK-{refund['id']}"}
    assert (await sender.post(f"{path}/record/", json=body)).status_code == 200
    (fact,) = await told(billing, tenant_id, "subscription.shortened")
    assert (fact["data"]["status"], fact["data"]["ends_at"]) == ("active", first_end)
    assert datetime.fromisoformat(fact["data"]["period"]["ends_at"]) == datetime.fromisoformat(first_end)
    rows = await billing.rows("select version from subscriptions where tenant_id = $1", t=tenant_id)
    assert fact["aggregateversion"] == rows[0]["version"]
    assert await told(billing, tenant_id, "subscription.ended") == []


@pytest.mark.invariant("S86")
async def test_what_staff_reads_in_a_customers_name_is_told_to_his_audit_log(billing: Billing) -> None:
    tenants, owner, staff, began = [uuid7(), uuid7()], uuid7(), uuid7(), uuid7()
    for tenant in tenants:
        who = {"user_id": owner, "tenant_id": tenant, "session_id": began, "roles": ["viewer"]}
        assert (await billing.client(**who).get("/api/tenants/subscription/")).status_code == 404
    acting = billing.client(**who, actor_id=staff)
    assert (await acting.get("/api/tenants/subscription/")).status_code == 404, "nothing was ever bought"
    assert (await acting.get("/api/tenants/invoices/?limit=5")).status_code == 403
    await Sealer(billing.store).seal()
    assert await told(billing, tenants[0], "audit.recorded") == []
    facts = [fact["data"] for fact in await told(billing, tenants[1], "audit.recorded")]
    assert [fact["action"] for fact in facts] == ["impersonation.used"] * 2
    assert [fact["target"] for fact in facts] == ["GET /api/tenants/subscription/", "GET /api/tenants/invoices/"]
    assert facts[0]["details"] == {"impersonation": str(began), "impersonator": str(staff)}


@pytest.mark.invariant("S100")
async def test_what_finance_did_for_no_organization_is_told_without_one(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing)
    staff = uuid7()
    finance = billing.client(user_id=staff, staff=["finance"])
    assert (await finance.get("/api/admin/coupons/")).status_code == 200
    async with billing.store.for_tenant(tenant_id) as uow:
        await uow.audit("thing.done", "1", actor=staff)
    await Sealer(billing.store).seal()
    rows = await billing.rows(
        "select tenant_id, envelope from outbox where type = 'audit.recorded.v1'"
        " and envelope -> 'data' ->> 'actor' = $1 order by position",
        a=str(staff),
    )
    told = [(row["tenant_id"], json.loads(row["envelope"])) for row in rows]
    assert [(tenant, fact["data"]["action"]) for tenant, fact in told] == [
        (None, "coupons.listed_by_staff"), (tenant_id, "thing.done"),
    ]  # fmt: skip
    assert [fact["tenantid"] for _tenant, fact in told] == [None, str(tenant_id)]
    assert told[0][1]["data"]["reason"] == "a test"
