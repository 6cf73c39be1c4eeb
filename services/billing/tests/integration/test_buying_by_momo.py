"""The guide's purchase by Mobile Money, from order to organization, and what can go wrong on the way."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, by_momo, place, until_paid, verify
from common.testing import eventually

pytestmark = pytest.mark.integration


async def test_a_purchase_ends_with_success_and_the_organization(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    assert order["total_amount"] == "50000"
    assert order["organization"] is None
    started = await by_momo(buyer, order)
    assert started["status"] == "pending"
    assert "phone" in started["message"]
    paid = await until_paid(buyer, order)
    assert (paid["success"], paid["organization"]) == (False, None)
    tenant_id = await billing.provision(order)
    answer = await verify(buyer, order)
    assert answer["success"] is True
    assert answer["status"] == "completed"
    assert answer["organization"]["id"] == str(tenant_id)
    assert answer["organization"]["name"] == "Entreprise XYZ"


async def test_the_confirmation_carries_the_plan_as_bought(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    events = await billing.rows(
        "select tenant_id, envelope from outbox where type = 'payment.confirmed.v1'"
        " and envelope->'data'->>'order_id' = $1",
        id=order["id"],
    )
    rows = await billing.rows("select tenant_id, user_id from orders where id = $1", id=UUID(order["id"]))
    assert len(events) == 1
    envelope = json.loads(events[0]["envelope"])
    data = envelope["data"]
    assert envelope["type"] == "payment.confirmed.v1"
    assert envelope["tenantid"] == str(events[0]["tenant_id"]) == str(rows[0]["tenant_id"])
    assert data["user_id"] == str(rows[0]["user_id"])
    assert data["customer_name"] == "Entreprise XYZ"
    assert (data["kind"], data["billing_cycle"]) == ("new", "monthly")
    assert data["plan"]["quotas"]["max_esxi_servers"] == 5
    assert data["plan"]["features"]["has_replication"] is True
    assert data["plan"]["retention"]["backup_retention_days"] == 60
    assert data["period"]["starts_at"] < data["period"]["ends_at"]


async def test_the_callback_alone_completes_the_payment(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order)

    async def paid() -> bool:
        answer = await buyer.get(f"{ORDERS}{order['id']}/")
        return bool(answer.json()["status"] == "paid")

    await eventually(paid, what="the callback to have its effect")


class TestWithoutCallbacks:
    @pytest.fixture
    def momo_config(self) -> dict[str, Any]:
        return {"approval_delay": 0.05}

    @pytest.mark.invariant("S26")
    @pytest.mark.invariant("S29")
    async def test_the_janitor_finds_a_payment_that_nobody_asks_about(self, world: Any) -> None:
        billing = world.billing
        await world.faults(world.momo, {"target": "delivery", "drop": "before"})
        buyer = billing.client()
        order = await place(buyer)
        await by_momo(buyer, order)

        async def paid() -> bool:
            billing.clock.advance(timedelta(seconds=30))
            await billing.watch.ask_due()
            answer = await buyer.get(f"{ORDERS}{order['id']}/")
            return bool(answer.json()["status"] == "paid")

        await eventually(paid)


@pytest.mark.invariant("S28")
async def test_a_forged_callback_changes_nothing(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    # This number stays pending at MTN for ever.
    started = await by_momo(buyer, order, "46733123454")
    rows = await billing.rows(
        "select callback_token, provider_reference from payments where id = $1", id=UUID(started["payment_id"])
    )
    forged = {"status": "SUCCESSFUL", "amount": "50000", "currency": "XAF", "externalId": started["payment_id"]}
    front = billing.client(anonymous=True)
    for method in ("PUT", "POST"):
        answer = await front.request(method, f"/webhooks/mtn-momo/{rows[0]['callback_token']}", json=forged)
        assert answer.status_code == 200
    answer = await front.put("/webhooks/mtn-momo/not-a-token-of-ours", json=forged)
    assert (answer.status_code, answer.json()["code"]) == (404, "callback_unknown")
    assert (await verify(buyer, order))["payment_status"] == "pending"
    assert await billing.rows("select 1 from invoices where order_id = $1", id=UUID(order["id"])) == []


async def test_a_refusal_on_the_phone_is_explained_and_the_order_can_be_paid_again(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order, "46733123451")

    async def failed() -> dict[str, Any] | None:
        answer = await verify(buyer, order)
        return answer if answer["payment_status"] == "failed" else None

    answer = await eventually(failed)
    assert answer["status"] == "failed"
    assert answer["success"] is False
    assert "refused on the phone" in answer["message"]
    await by_momo(buyer, order)
    assert (await until_paid(buyer, order))["status"] == "paid"


@pytest.mark.invariant("S23")
async def test_the_row_with_its_reference_is_committed_before_mtn_is_called(world: Any) -> None:
    billing = world.billing
    await world.faults(world.momo, {"target": "request", "match": {"path": "*/requesttopay"}, "drop": "before"})
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order)
    assert started["status"] == "unknown"
    rows = await billing.rows("select * from payments where id = $1", id=UUID(started["payment_id"]))
    assert UUID(rows[0]["provider_reference"]).version == 4
    assert rows[0]["callback_token"]
    # The request never arrived; the janitor sends it again under the same reference.
    await world.faults(world.momo)
    billing.clock.advance(timedelta(seconds=30))
    await billing.watch.ask_due()
    assert (await until_paid(buyer, order))["status"] == "paid"
    sent = await world.requests(world.momo, "/collection/v1_0/requesttopay")
    mine = [entry for entry in sent if started["payment_id"] in entry["body"]]
    references = {entry["headers"].get("x-reference-id") for entry in mine}
    assert references == {rows[0]["provider_reference"]}


@pytest.mark.invariant("S23")
async def test_a_lost_answer_leads_to_no_second_payment(world: Any) -> None:
    billing = world.billing
    await world.faults(
        world.momo, {"target": "request", "match": {"path": "*/requesttopay"}, "drop": "after", "times": 1}
    )
    buyer = billing.client()
    order = await place(buyer)
    assert (await by_momo(buyer, order))["status"] in {"unknown", "completed"}
    assert (await until_paid(buyer, order))["status"] == "paid"
    rows = await billing.rows("select id from payments where order_id = $1", id=UUID(order["id"]))
    assert len(rows) == 1


@pytest.mark.invariant("S19")
async def test_mtn_is_asked_for_exactly_the_orders_total(world: Any) -> None:
    buyer = world.billing.client()
    order = await place(buyer, plan_id=1)
    started = await by_momo(buyer, order)
    sent = await world.requests(world.momo, "/collection/v1_0/requesttopay")
    body = next(json.loads(entry["body"]) for entry in sent if started["payment_id"] in entry["body"])
    assert (body["amount"], body["currency"]) == ("25000", "XAF")


class TestAtTheSandbox:
    @pytest.fixture
    def momo_config(self) -> dict[str, Any]:
        return {"approval_delay": 0.05, "environment": "sandbox"}

    async def test_whole_euros_are_charged_and_the_order_is_paid_at_its_price(self, world: Any) -> None:
        billing = world.billing
        buyer = billing.client()
        order = await place(buyer)
        started = await by_momo(buyer, order)
        await until_paid(buyer, order)
        payment = (await buyer.get(f"/api/tenants/payments/{started['payment_id']}/")).json()
        assert (payment["amount"], payment["currency"]) == ("50000", "XAF")
        assert (payment["charged_amount"], payment["charged_currency"]) == ("77.00", "EUR")
        assert payment["exchange_rate"] == "655.957"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"payment_method_id": 2}, "phone_number_required"),
        ({"payment_method_id": 2, "phone_number": "12"}, "phone_number_invalid"),
        ({"payment_method_id": 9, "phone_number": "237670000001"}, "payment_method_unknown"),
        ({"payment_method_id": 2, "phone_number": "237670000001", "amount": "1"}, "invalid_request"),
        ({"payment_method_id": 1}, "return_url_required"),
        (
            {"payment_method_id": 1, "return_url": "https://u:p@x.com/", "cancel_url": "https://x.com/"},
            "return_url_refused",
        ),
        ({"payment_method_id": 1, "return_url": "ftp://x.com/", "cancel_url": "https://x.com/"}, "return_url_refused"),
        (
            {
                "payment_method_id": 2,
                "phone_number": "237670000001",
                "order_id": "01970000-0000-7000-8000-000000000009",
            },
            "order_id_differs",
        ),
    ],
)
async def test_a_wrong_request_is_refused_and_nothing_is_started(
    billing: Billing, fields: dict[str, Any], code: str
) -> None:
    buyer = billing.client()
    order = await place(buyer)
    answer = await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json=fields)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await billing.rows("select 1 from payments where order_id = $1", id=UUID(order["id"])) == []


async def test_a_paid_order_takes_no_new_payment(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    answer = await buyer.post(
        f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 2, "phone_number": "237670000001"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "order_not_payable")


@pytest.mark.invariant("S25")
async def test_verifying_an_old_payment_again_moves_nothing(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    tenant_id = await billing.provision(order)
    before = await billing.rows("select ends_at, version from subscriptions where tenant_id = $1", id=tenant_id)
    for _ in range(3):
        billing.clock.advance(timedelta(days=9))
        assert (await verify(buyer, order))["success"] is True
        await billing.watch.ask_due()
    after = await billing.rows("select ends_at, version from subscriptions where tenant_id = $1", id=tenant_id)
    assert before == after


async def test_the_payment_confirmation_is_mailed_once_in_the_buyers_language(billing: Billing) -> None:
    buyer = billing.client(language="fr")
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    mails = await billing.rows(
        "select recipient, subject, body_text from mails where key = $1", key=f"payment_confirmed:{order['id']}"
    )
    assert [mail["recipient"] for mail in mails] == ["contact@xyz.com"]
    assert mails[0]["subject"] == f"Paiement reçu : commande {order['order_number']}"
    assert "50\u00a0000\u00a0XAF" in mails[0]["body_text"]


class TestWithoutPayPal:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"payment_methods": ["mtn_momo"]}

    async def test_a_method_that_is_switched_off_is_not_offered(self, billing: Billing) -> None:
        listed = await billing.client(anonymous=True).get("/api/tenants/payment-methods/")
        assert [method["name"] for method in listed.json()["results"]] == ["mtn_momo"]
        buyer = billing.client()
        order = await place(buyer)
        answer = await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 3})
        assert (answer.status_code, answer.json()["code"]) == (422, "payment_method_unknown")
