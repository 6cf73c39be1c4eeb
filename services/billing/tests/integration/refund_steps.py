"""What tests of refunds do: pay an order, ask for a refund, let it go, record it, and look at what became of it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from billing.testing import PAYMENTS, Billing, by_paypal, initiate, place, until_paid

REFUNDS = "/api/admin/refunds/"


async def paid_by_paypal(world: Any, buyer: Any = None, **changes: Any) -> tuple[Any, dict[str, Any], UUID]:
    buyer = buyer or world.billing.client()
    order = await place(buyer, **changes)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    world.billing.clock.advance(timedelta(seconds=5))
    await until_paid(buyer, order)
    return buyer, order, UUID(started["payment_id"])


async def paid_by_transfer(billing: Billing, amount: str | None = None) -> tuple[Any, dict[str, Any], UUID]:
    buyer = billing.client()
    order = await place(buyer)
    started = await initiate(buyer, order, 3)
    staff = billing.client(staff=["finance"])
    body = {"approve": True} | ({"amount": amount} if amount else {})
    answer = await staff.post(f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json=body)
    assert answer.status_code == 200, answer.text
    return buyer, order, UUID(started["payment_id"])


async def ask(billing: Billing, payment_id: UUID, maker: Any = None, **body: Any) -> Any:
    maker = maker or billing.client(staff=["finance"])
    return await maker.post(
        f"/api/admin/payments/{payment_id}/refunds/", json={"reason": "customer changed his mind"} | body
    )


async def approve(billing: Billing, refund: dict[str, Any], checker: Any = None) -> Any:
    checker = checker or billing.client(staff=["finance"])
    return await checker.post(f"{REFUNDS}{refund['id']}/approve/", json={"reason": "checked with support"})


async def refunded(billing: Billing, payment_id: UUID, **body: Any) -> dict[str, Any]:
    asked = await ask(billing, payment_id, **body)
    assert asked.status_code == 201, asked.text
    answer = await approve(billing, asked.json())
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def record(billing: Billing, refund: dict[str, Any], reference: str) -> Any:
    staff = billing.client(staff=["finance"])
    return await staff.post(
        f"{REFUNDS}{refund['id']}/record/", json={"reference": reference, "reason": "sent from our bank"}
    )


async def tenant_of(billing: Billing, order: dict[str, Any]) -> UUID:
    rows = await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"]))
    return UUID(str(rows[0]["tenant_id"]))


async def balances(billing: Billing, tenant_id: UUID) -> dict[str, int]:
    rows = await billing.rows(
        "select account, currency, sum(amount_minor)::bigint as balance from ledger_postings where tenant_id = $1"
        " group by 1, 2 having sum(amount_minor) <> 0",
        t=tenant_id,
    )
    return {f"{row['account']} {row['currency']}": row["balance"] for row in rows}


async def states(billing: Billing, order: dict[str, Any]) -> tuple[str, str]:
    row = (await billing.rows("select status, payment_status from orders where id = $1", id=UUID(order["id"])))[0]
    return row["status"], row["payment_status"]


async def subscription(billing: Billing, tenant_id: UUID) -> dict[str, Any]:
    return dict(
        (await billing.rows("select status, reason, ends_at from subscriptions where tenant_id = $1", t=tenant_id))[0]
    )


async def paypal_refunds(world: Any, payment_id: UUID) -> list[dict[str, Any]]:
    rows = await world.billing.rows("select provider_reference from payments where id = $1", id=payment_id)
    order = world.paypal.paypal.store.orders[rows[0]["provider_reference"]]
    return [vars(refund) for refund in order.capture.refunds]
