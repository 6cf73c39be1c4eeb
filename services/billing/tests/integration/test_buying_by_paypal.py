"""PayPal: by the browser's return, by webhook, and by the janitor when neither comes."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, by_momo, by_paypal, place, until_paid, verify
from common.testing import eventually

pytestmark = pytest.mark.integration


async def _status(client: Any, order: dict[str, Any]) -> str:
    return str((await client.get(f"{ORDERS}{order['id']}/")).json()["status"])


async def _no_webhooks(world: Any) -> None:
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})


async def test_the_browsers_return_captures_and_completes(world: Any) -> None:
    billing = world.billing
    await _no_webhooks(world)
    buyer = billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    assert started["status"] == "pending"
    assert (await verify(buyer, order))["payment_status"] == "pending"
    back = await world.approve(started["redirect_url"])
    assert back.headers["location"].startswith("https://myapp.com/payment/success")
    billing.clock.advance(timedelta(seconds=5))
    assert (await verify(buyer, order))["payment_status"] == "paid"
    payment = (await buyer.get(f"/api/tenants/payments/{started['payment_id']}/")).json()
    assert (payment["status"], payment["charged_amount"], payment["charged_currency"]) == ("completed", "76.22", "EUR")
    assert payment["exchange_rate"] == "655.957"
    assert payment["receipt_reference"]


async def test_the_webhook_alone_captures_and_completes(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])

    async def paid() -> bool:
        await billing.watch.handle_webhooks()
        billing.clock.advance(timedelta(seconds=1))
        return await _status(buyer, order) == "paid"

    await eventually(paid)


@pytest.mark.invariant("S26")
async def test_the_janitor_finds_an_approved_payment_whose_browser_never_came_back(world: Any) -> None:
    billing = world.billing
    await _no_webhooks(world)
    buyer = billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])

    async def paid() -> bool:
        billing.clock.advance(timedelta(seconds=20))
        await billing.watch.ask_due()
        return await _status(buyer, order) == "paid"

    await eventually(paid)


async def _stored_event(billing: Billing, reference: str) -> dict[str, Any]:
    rows = await billing.rows(
        "select event_id, body, headers from webhook_events where position($1 in convert_from(body, 'UTF8')) > 0",
        reference=reference,
    )
    return dict(rows[0]) if rows else {}


async def _event_of(world: Any, started: dict[str, Any]) -> dict[str, Any]:
    rows = await world.billing.rows(
        "select provider_reference from payments where id = $1", id=UUID(started["payment_id"])
    )
    found: dict[str, Any] = await eventually(lambda: _stored_event(world.billing, rows[0]["provider_reference"]))
    return found


@pytest.mark.invariant("S22")
@pytest.mark.invariant("S27")
async def test_the_same_event_is_stored_once_and_repeats_change_nothing(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    event = await _event_of(world, started)
    front = billing.client(anonymous=True)
    headers = json.loads(event["headers"]) | {"content-type": "application/json"}
    for _ in range(5):
        answer = await front.post("/webhooks/paypal/", content=event["body"], headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (200, "known")
    await billing.watch.handle_webhooks()
    billing.clock.advance(timedelta(seconds=2))
    await until_paid(buyer, order)
    await billing.watch.handle_webhooks()
    assert len(await billing.rows("select 1 from invoices where order_id = $1", id=UUID(order["id"]))) == 1


@pytest.mark.invariant("S27")
async def test_an_altered_webhook_is_refused_and_stored_nowhere(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    event = await _event_of(world, started)
    before = await billing.rows("select count(*) from webhook_events")
    altered = event["body"].replace(event["event_id"].encode(), b"WH-FORGED-1")
    headers = json.loads(event["headers"]) | {"content-type": "application/json"}
    front = billing.client(anonymous=True)
    answer = await front.post("/webhooks/paypal/", content=altered, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "signature_invalid")
    unsigned = await front.post("/webhooks/paypal/", json={"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED"})
    assert unsigned.status_code == 403
    assert await billing.rows("select count(*) from webhook_events where event_id = 'WH-FORGED-1'") == [{"count": 0}]
    assert before[0]["count"] >= 1


async def test_a_webhook_that_cannot_be_checked_now_is_left_to_be_delivered_again(world: Any) -> None:
    billing = world.billing
    await world.faults(
        world.paypal, {"target": "request", "match": {"path": "*verify-webhook-signature"}, "status": 503}
    )
    front = billing.client(anonymous=True)
    headers = {
        "paypal-transmission-id": "1",
        "paypal-transmission-time": "2026-11-22T12:00:00Z",
        "paypal-transmission-sig": "c2ln",
        "paypal-cert-url": "https://api-m.sandbox.paypal.com/v1/notifications/certs/x",
        "paypal-auth-algo": "SHA256withRSA",
    }
    answer = await front.post("/webhooks/paypal/", content=b'{"id": "WH-LATER"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_method_unavailable")
    assert await billing.rows("select 1 from webhook_events where event_id = 'WH-LATER'") == []


@pytest.mark.invariant("S24")
async def test_another_attempt_supersedes_the_former_and_the_first_success_pays(world: Any) -> None:
    billing = world.billing
    await _no_webhooks(world)
    buyer = billing.client()
    order = await place(buyer)
    first = await by_paypal(buyer, order)
    second = await by_momo(buyer, order)
    states = await billing.rows(
        "select id, status, next_poll_at from payments where order_id = $1 order by id", id=UUID(order["id"])
    )
    assert states[0]["status"] == "superseded"
    assert states[0]["next_poll_at"] is not None
    await until_paid(buyer, order)
    # The payer approves the former one all the same: the money is his credit, and nothing else happens.
    await world.approve(first["redirect_url"])

    async def former_completed() -> bool:
        billing.clock.advance(timedelta(seconds=20))
        await billing.watch.ask_due()
        payment = (await buyer.get(f"/api/tenants/payments/{first['payment_id']}/")).json()
        return bool(payment["status"] == "completed")

    await eventually(former_completed)
    tenant = (await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"])))[0]["tenant_id"]
    for table in ("invoices", "subscription_periods", "payment_allocations"):
        assert len(await billing.rows(f"select 1 from {table} where tenant_id = $1", t=tenant)) == 1
    async with billing.store.for_tenant(tenant) as uow:
        assert [str(money) for money in await uow.ledger.balances("customer_credit")] == ["-50000 XAF"]
        assert await uow.ledger.balances("receivable") == [] or [
            money.amount_minor for money in await uow.ledger.balances("receivable")
        ] == [0]
    cases = await billing.rows("select kind, payment_id from cases where tenant_id = $1", t=tenant)
    assert [(case["kind"], str(case["payment_id"])) for case in cases] == [("surplus", first["payment_id"])]
    assert second["payment_id"] != first["payment_id"]


@pytest.mark.invariant("S26")
async def test_money_for_a_failed_or_cancelled_order_pays_it_at_its_frozen_price(world: Any) -> None:
    billing = world.billing
    await _no_webhooks(world)
    buyer = billing.client()
    order = await place(buyer)
    paypal = await by_paypal(buyer, order)
    await by_momo(buyer, order, "46733123451")

    async def momo_failed() -> bool:
        return bool(
            await billing.rows("select 1 from payments where order_id = $1 and status = 'failed'", id=UUID(order["id"]))
        )

    await eventually(lambda: _nudged(buyer, order, momo_failed))
    cancelled = await buyer.post(f"{ORDERS}{order['id']}/cancel/")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    await world.approve(paypal["redirect_url"])

    async def paid() -> bool:
        billing.clock.advance(timedelta(seconds=20))
        await billing.watch.ask_due()
        return await _status(buyer, order) == "paid"

    await eventually(paid)


async def _nudged(buyer: Any, order: dict[str, Any], condition: Any) -> bool:
    await verify(buyer, order)
    return bool(await condition())


@pytest.mark.invariant("S21")
async def test_a_success_over_another_amount_is_quarantined_and_a_case_is_opened(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order, "46733123454")
    # As if MTN had been asked for less than the row says.
    async with billing.superuser() as connection:
        reference = await connection.fetchval(
            "update payments set charged_minor = charged_minor + 1 where id = $1 returning provider_reference",
            UUID(started["payment_id"]),
        )
    await world.decide(reference, "SUCCESSFUL")
    billing.clock.advance(timedelta(seconds=5))

    # MTN's callback may be asking at this moment; whoever asks first sees the difference.
    async def quarantined() -> bool:
        assert (await verify(buyer, order))["payment_status"] != "paid"
        payment = (await buyer.get(f"/api/tenants/payments/{started['payment_id']}/")).json()
        return (payment["status"], payment["reason_code"]) == ("quarantined", "mismatch_amount")

    await eventually(quarantined)
    cases = await billing.rows("select kind from cases where payment_id = $1", id=UUID(started["payment_id"]))
    assert [case["kind"] for case in cases] == ["quarantined"]


async def test_paypals_adapter_captures_nothing_over_another_amount(world: Any) -> None:
    billing = world.billing
    await _no_webhooks(world)
    buyer = billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    async with billing.superuser() as connection:
        await connection.execute(
            "update payments set charged_minor = charged_minor + 1 where id = $1", UUID(started["payment_id"])
        )
    await world.approve(started["redirect_url"])
    billing.clock.advance(timedelta(seconds=5))
    assert (await verify(buyer, order))["payment_status"] == "pending"
    cases = await billing.rows("select kind from cases where payment_id = $1", id=UUID(started["payment_id"]))
    assert [case["kind"] for case in cases] == ["operator"]


async def test_credentials_that_paypal_refuses_are_told_as_unavailable_and_shown_to_a_person(world: Any) -> None:
    billing = world.billing
    refusal = {"status": 401, "body": {"error": "invalid_client", "error_description": "Client Authentication failed"}}
    await world.faults(world.paypal, {"target": "request", "match": {"path": "/v1/oauth2/token"}} | refusal)
    buyer = billing.client()
    order = await place(buyer)
    answer = await buyer.post(
        f"{ORDERS}{order['id']}/initiate_payment/",
        json={"payment_method_id": 1, "return_url": "https://a.com/x", "cancel_url": "https://a.com/y"},
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_method_unavailable")
    rows = await billing.rows(
        "select p.status, c.kind from payments p join cases c on c.payment_id = p.id where p.order_id = $1",
        id=UUID(order["id"]),
    )
    assert rows == [{"status": "failed", "kind": "operator"}]


async def test_paypal_out_of_reach_is_told_and_the_attempt_is_kept(world: Any) -> None:
    billing = world.billing
    await world.faults(world.paypal, {"target": "request", "match": {"path": "/v2/checkout/orders"}, "status": 503})
    buyer = billing.client()
    order = await place(buyer)
    answer = await buyer.post(
        f"{ORDERS}{order['id']}/initiate_payment/",
        json={"payment_method_id": 1, "return_url": "https://a.com/x", "cancel_url": "https://a.com/y"},
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_method_unavailable")
    rows = await billing.rows("select status from payments where order_id = $1", id=UUID(order["id"]))
    assert [row["status"] for row in rows] == ["unknown"]


class TestInProduction:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"payment_return_origins": ["https://app.example"]}

    async def test_browsers_are_only_sent_to_allowed_origins(self, billing: Billing) -> None:
        buyer = billing.client()
        order = await place(buyer)
        body = {
            "payment_method_id": 1,
            "return_url": "https://app.example/ok",
            "cancel_url": "https://app.example.evil.com/",
        }
        answer = await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "return_url_refused")
        assert answer.json()["field"] == "cancel_url"
