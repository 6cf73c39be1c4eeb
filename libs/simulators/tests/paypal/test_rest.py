"""The PayPal simulator over real HTTP: orders, captures, refunds, and what is refused."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from simulators.paypal import PayPalConfig, start
from simulators.paypal.certificates import Signer, make_signer

BACK = "https://shop.example/back?order=7"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return make_signer()


class Clock:
    def __init__(self) -> None:
        self.now = dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


class Merchant:
    """One signed-in REST app."""

    def __init__(self, http: httpx.AsyncClient, clock: Clock) -> None:
        self.http = http
        self.clock = clock

    async def sign_in(self) -> None:
        answer = await self.http.post(
            "/v1/oauth2/token", auth=("paypal-client", "paypal-secret"), data={"grant_type": "client_credentials"}
        )
        assert answer.status_code == 200
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def order(self, value: Any = "38.11", currency: str = "EUR", **unit: Any) -> dict[str, Any]:
        return {
            "intent": "CAPTURE",
            "purchase_units": [
                {"amount": {"currency_code": currency, "value": value}, "custom_id": "pay-1", "invoice_id": "INV-1"}
                | unit
            ],
            "payment_source": {"paypal": {"experience_context": {"return_url": BACK, "cancel_url": BACK}}},
        }

    async def create(self, body: dict[str, Any], key: str | None = None, **headers: str) -> httpx.Response:
        headers = {"PayPal-Request-Id": key or str(uuid.uuid4())} | headers
        return await self.http.post("/v2/checkout/orders", json=body, headers=headers)

    async def approve(self, order_id: str, decision: str = "approve") -> httpx.Response:
        return await self.http.post("/checkoutnow", data={"token": order_id, "decision": decision})

    async def capture(self, order_id: str, key: str = "capture-1", **headers: str) -> httpx.Response:
        return await self.http.post(
            f"/v2/checkout/orders/{order_id}/capture",
            json={},
            headers={"PayPal-Request-Id": key, "Prefer": "return=representation"} | headers,
        )

    async def paid(self, **unit: Any) -> dict[str, Any]:
        order_id = (await self.create(self.order(**unit))).json()["id"]
        await self.approve(order_id)
        answer = await self.capture(order_id, f"capture-{order_id}")
        return dict(answer.json()["purchase_units"][0]["payments"]["captures"][0])

    async def faults(self, *rules: dict[str, Any]) -> None:
        assert (await self.http.put("/_sim/faults", json={"rules": list(rules)})).status_code == 200


@pytest.fixture
async def paypal(signer: Signer) -> AsyncIterator[Merchant]:
    clock = Clock()
    running = await start(PayPalConfig(signer=signer, clock=clock))
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        merchant = Merchant(http, clock)
        await merchant.sign_in()
        yield merchant
    await running.stop()


def issue(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["issue"]


async def test_an_approved_order_is_captured_once(paypal: Merchant) -> None:
    created = await paypal.create(paypal.order())
    order_id = created.json()["id"]
    assert created.status_code == 201
    assert set(created.json()) == {"id", "status", "links"}
    assert [link["rel"] for link in created.json()["links"]] == ["self", "payer-action"]

    back = await paypal.approve(order_id)
    query = parse_qs(urlsplit(back.headers["location"]).query)
    assert back.status_code == 302
    assert (query["order"], query["token"], len(query["PayerID"][0])) == (["7"], [order_id], 13)

    first, replay, other = [await paypal.capture(order_id, key) for key in ("capture-1", "capture-1", "capture-2")]
    taken = first.json()["purchase_units"][0]["payments"]["captures"][0]
    assert (first.status_code, replay.status_code) == (201, 200)
    assert (first.json()["status"], taken["status"]) == ("COMPLETED", "COMPLETED")
    assert (taken["amount"], taken["custom_id"]) == ({"currency_code": "EUR", "value": "38.11"}, "pay-1")
    assert replay.json()["purchase_units"][0]["payments"]["captures"][0]["id"] == taken["id"]
    assert issue(other) == (422, "ORDER_ALREADY_CAPTURED")


async def test_the_approval_page_shows_the_amount_and_cancelling_leaves_the_order_open(paypal: Merchant) -> None:
    order_id = (await paypal.create(paypal.order(description="<Silver>"))).json()["id"]
    page = await paypal.http.get("/checkoutnow", params={"token": order_id})
    assert "38.11 EUR" in page.text
    assert "&lt;Silver&gt;" in page.text
    back = await paypal.approve(order_id, "cancel")
    assert "PayerID" not in back.headers["location"]
    assert issue(await paypal.capture(order_id)) == (422, "ORDER_NOT_APPROVED")


async def test_the_same_key_gives_the_same_order_for_six_hours(paypal: Merchant) -> None:
    first = await paypal.create(paypal.order(), "create-1")
    again = await paypal.create(paypal.order("40.00"), "create-1")
    paypal.clock.now += dt.timedelta(hours=6, seconds=1)
    later = await paypal.create(paypal.order(), "create-1")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert (later.status_code, later.json()["id"] == first.json()["id"]) == (201, False)


async def test_a_minimal_answer_to_a_capture_hides_the_capture(paypal: Merchant) -> None:
    order_id = (await paypal.create(paypal.order())).json()["id"]
    await paypal.approve(order_id)
    answer = await paypal.capture(order_id, Prefer="return=minimal")
    assert "purchase_units" not in answer.json()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"value": "25000", "currency": "XAF"}, (422, "INVALID_CURRENCY_CODE")),
        ({"value": 38.11}, (400, "INVALID_PARAMETER_SYNTAX")),
        ({"value": "38,11"}, (400, "INVALID_PARAMETER_SYNTAX")),
        ({"value": "38.111"}, (422, "DECIMAL_PRECISION")),
        ({"value": "100.5", "currency": "JPY"}, (422, "DECIMAL_PRECISION")),
        ({"value": "0.00"}, (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        ({"value": "-1.00"}, (422, "CANNOT_BE_ZERO_OR_NEGATIVE")),
        ({"custom_id": ""}, (400, "INVALID_STRING_LENGTH")),
        ({"invoice_id": "x" * 128}, (400, "INVALID_STRING_LENGTH")),
    ],
    ids=str,
)
async def test_an_order_that_is_not_one_is_refused(
    paypal: Merchant, change: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert issue(await paypal.create(paypal.order(**change))) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"intent": "SALE"}, (400, "INVALID_PARAMETER_VALUE")),
        ({"purchase_units": []}, (400, "MISSING_REQUIRED_PARAMETER")),
    ],
    ids=str,
)
async def test_an_order_without_its_parts_is_refused(
    paypal: Merchant, change: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert issue(await paypal.create(paypal.order() | change)) == expected


async def test_a_payment_source_needs_a_request_id(paypal: Merchant) -> None:
    answer = await paypal.http.post("/v2/checkout/orders", json=paypal.order())
    assert issue(answer) == (400, "PAYPAL_REQUEST_ID_REQUIRED")
    assert (await paypal.create(paypal.order(), "x" * 109)).status_code == 400


async def test_a_capture_without_a_json_content_type_is_refused(paypal: Merchant) -> None:
    order_id = (await paypal.create(paypal.order())).json()["id"]
    answer = await paypal.http.post(f"/v2/checkout/orders/{order_id}/capture")
    assert answer.status_code == 415


async def test_a_wrong_secret_and_a_wrong_token_are_401(paypal: Merchant) -> None:
    login = await paypal.http.post("/v1/oauth2/token", auth=("paypal-client", "wrong"))
    order = await paypal.create(paypal.order(), Authorization="Bearer wrong")
    assert (login.status_code, login.json()["error"]) == (401, "invalid_client")
    assert (order.status_code, order.json()["name"]) == (401, "AUTHENTICATION_FAILURE")


async def test_a_declined_instrument_sends_the_payer_back_to_the_same_order(paypal: Merchant) -> None:
    order_id = (await paypal.create(paypal.order())).json()["id"]
    await paypal.approve(order_id)
    await paypal.faults({"match": {"path": "*/capture"}, "effect": {"issue": "INSTRUMENT_DECLINED"}, "times": 1})
    declined = await paypal.capture(order_id, "capture-1")
    assert issue(declined) == (422, "INSTRUMENT_DECLINED")
    assert declined.json()["links"][0]["rel"] == "redirect"
    assert issue(await paypal.capture(order_id, "capture-2")) == (422, "ORDER_NOT_APPROVED")
    await paypal.approve(order_id)
    assert (await paypal.capture(order_id, "capture-3")).status_code == 201


async def test_a_pending_capture_completes_the_order_but_not_the_payment(paypal: Merchant) -> None:
    await paypal.faults({"match": {"path": "*/capture"}, "effect": {"capture": "PENDING", "reason": "ECHECK"}})
    capture = await paypal.paid()
    assert (capture["status"], capture["status_details"]) == ("PENDING", {"reason": "ECHECK"})
    settled = await paypal.http.post(f"/_sim/captures/{capture['id']}", json={"status": "COMPLETED"})
    shown = await paypal.http.get(f"/v2/payments/captures/{capture['id']}")
    again = await paypal.http.post(f"/_sim/captures/{capture['id']}", json={"status": "DECLINED"})
    assert (settled.status_code, shown.json()["status"], again.status_code) == (200, "COMPLETED", 422)


async def test_one_invoice_is_captured_once(paypal: Merchant) -> None:
    await paypal.paid(invoice_id="INV-9")
    order_id = (await paypal.create(paypal.order(invoice_id="INV-9"))).json()["id"]
    await paypal.approve(order_id)
    assert issue(await paypal.capture(order_id, "other")) == (422, "DUPLICATE_INVOICE_ID")


async def test_an_order_that_nobody_approves_is_gone_after_three_hours(paypal: Merchant) -> None:
    order_id = (await paypal.create(paypal.order())).json()["id"]
    paypal.clock.now += dt.timedelta(hours=3, seconds=1)
    assert (await paypal.http.get(f"/v2/checkout/orders/{order_id}")).status_code == 404


async def test_an_approved_order_that_is_not_captured_is_voided(paypal: Merchant) -> None:
    order_id = (await paypal.create(paypal.order())).json()["id"]
    await paypal.approve(order_id)
    paypal.clock.now += dt.timedelta(hours=3, seconds=1)
    assert (await paypal.http.get(f"/v2/checkout/orders/{order_id}")).json()["status"] == "VOIDED"


async def test_refunds_stop_at_what_was_captured(paypal: Merchant) -> None:
    capture = await paypal.paid()
    path = f"/v2/payments/captures/{capture['id']}/refund"

    async def refund(key: str, body: dict[str, Any]) -> httpx.Response:
        return await paypal.http.post(path, json=body, headers={"PayPal-Request-Id": key})

    part = await refund("r1", {"amount": {"currency_code": "EUR", "value": "8.11"}})
    replay = await refund("r1", {"amount": {"currency_code": "EUR", "value": "8.11"}})
    excess = await refund("r2", {"amount": {"currency_code": "EUR", "value": "30.01"}})
    foreign = await refund("r3", {"amount": {"currency_code": "USD", "value": "1.00"}})
    rest = await refund("r4", {})
    none_left = await refund("r5", {})
    assert (part.status_code, replay.status_code, replay.json()["id"]) == (201, 201, part.json()["id"])
    assert issue(excess) == (422, "REFUND_AMOUNT_EXCEEDED")
    assert issue(foreign) == (422, "REFUND_CAPTURE_CURRENCY_MISMATCH")
    assert issue(none_left) == (422, "CAPTURE_FULLY_REFUNDED")
    shown = await paypal.http.get(f"/v2/payments/refunds/{rest.json()['id']}")
    assert shown.json()["amount"] == {"currency_code": "EUR", "value": "30.00"}
    assert (await paypal.http.get(f"/v2/payments/captures/{capture['id']}")).json()["status"] == "REFUNDED"


async def test_a_refund_after_half_a_year_is_too_late(paypal: Merchant) -> None:
    capture = await paypal.paid()
    paypal.clock.now += dt.timedelta(days=181)
    answer = await paypal.http.post(f"/v2/payments/captures/{capture['id']}/refund", json={})
    assert issue(answer) == (422, "REFUND_TIME_LIMIT_EXCEEDED")


async def test_the_sandbox_switch_for_negative_tests_is_obeyed(paypal: Merchant) -> None:
    order_id = (await paypal.create(paypal.order())).json()["id"]
    await paypal.approve(order_id)
    header = {"PayPal-Mock-Response": '{"mock_application_codes": "TRANSACTION_REFUSED"}'}
    assert issue(await paypal.capture(order_id, **header)) == (422, "TRANSACTION_REFUSED")


async def test_an_unknown_id_is_not_found(paypal: Merchant) -> None:
    assert issue(await paypal.http.get("/v2/checkout/orders/NONE")) == (404, "INVALID_RESOURCE_ID")
