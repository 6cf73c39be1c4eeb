"""Placing, repeating, reading and cancelling orders; what no other person may see."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import ORDERS, PAYMENTS, Billing, by_momo, order_body, place, until_paid
from common.ids import uuid7
from common.web import Cursor

pytestmark = pytest.mark.integration


@pytest.mark.invariant("S16")
@pytest.mark.parametrize(
    "field",
    ["total_amount", "subtotal", "discount_amount", "status", "payment_status", "currency", "user_id", "tenant_id"],
)
async def test_no_field_of_the_client_reaches_the_price(billing: Billing, field: str) -> None:
    answer = await billing.client().post(ORDERS, json=order_body(**{field: "1"}))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["errors"][0]["field"] == f"body.{field}"


@pytest.mark.invariant("S16")
@pytest.mark.parametrize(
    ("plan_id", "cycle", "total"),
    [(1, "monthly", "25000"), (1, "yearly", "250000"), (2, "yearly", "500000"), (3, "monthly", "100000")],
)
async def test_the_total_is_the_plans_price(billing: Billing, plan_id: int, cycle: str, total: str) -> None:
    order = await place(billing.client(), plan_id=plan_id, billing_cycle=cycle)
    assert (order["subtotal"], order["total_amount"], order["tax_amount"]) == (total, total, "0")
    assert order["currency"] == "XAF"
    assert order["kind"] == "new"
    assert (order["status"], order["payment_status"]) == ("pending", "unpaid")


class TestWithVat:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"issuer_vat_registered": True, "issuer_rccm": "RC/DLA/2026/B/1", "issuer_niu": "M012612345678A"}

    @pytest.mark.invariant("S35")
    async def test_a_registered_issuer_charges_vat_and_its_surcharge(self, billing: Billing) -> None:
        order = await place(billing.client(), plan_id=1)
        assert (order["tax_amount"], order["total_amount"]) == ("4813", "29813")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"plan_id": 99}, 404, "plan_not_found"),
        ({"billing_cycle": "weekly"}, 422, "invalid_request"),
        ({"customer_email": "no address"}, 422, "invalid_request"),
        ({"customer_name": " "}, 422, "invalid_request"),
        ({"coupon_code": "NOSUCHCODE"}, 422, "coupon_refused"),
        ({"kind": "renewal"}, 403, "organization_owner_required"),
        ({"organization_id": "01970000-0000-7000-8000-000000000009"}, 404, "organization_not_found"),
    ],
)
async def test_a_wrong_order_is_refused(billing: Billing, changes: dict[str, Any], status: int, code: str) -> None:
    answer = await billing.client().post(ORDERS, json=order_body(**changes))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_refusals_speak_french_by_default(billing: Billing) -> None:
    answer = await billing.client(language="de").post(ORDERS, json=order_body(plan_id=99))
    assert answer.json()["detail"] == "Ce plan n'existe pas. Les plans proposés : /api/tenants/plans/."


async def test_the_same_order_again_within_an_hour_is_the_same_order(billing: Billing) -> None:
    buyer = billing.client()
    first = await place(buyer)
    assert (await place(buyer))["id"] == first["id"]
    billing.clock.advance(timedelta(minutes=61))
    assert (await place(buyer))["id"] != first["id"]


async def test_another_order_cancels_the_unpaid_one(billing: Billing) -> None:
    buyer = billing.client()
    first = await place(buyer)
    second = await place(buyer, billing_cycle="yearly")
    assert second["id"] != first["id"]
    assert (await buyer.get(f"{ORDERS}{first['id']}/")).json()["status"] == "cancelled"


async def test_an_order_with_an_open_payment_is_left_alone(billing: Billing) -> None:
    buyer = billing.client()
    first = await place(buyer)
    await by_momo(buyer, first, "46733123454")
    await place(buyer, billing_cycle="yearly")
    assert (await buyer.get(f"{ORDERS}{first['id']}/")).json()["status"] == "payment_pending"


async def test_a_double_click_makes_one_order(billing: Billing) -> None:
    buyer = billing.client()
    placed = await asyncio.gather(*(place(buyer) for _ in range(50)))
    assert len({order["id"] for order in placed}) == 1


@pytest.mark.invariant("S43")
async def test_an_idempotency_key_makes_one_order_and_refuses_another_body(billing: Billing) -> None:
    buyer = billing.client()
    headers = {"idempotency-key": "key-1"}
    answers = await asyncio.gather(*(buyer.post(ORDERS, json=order_body(), headers=headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await buyer.post(ORDERS, json=order_body(plan_id=3), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    stranger = await billing.client().post(ORDERS, json=order_body(plan_id=3), headers=headers)
    assert stranger.status_code == 201


async def test_my_orders_are_listed_newest_first_in_pages(billing: Billing) -> None:
    buyer = billing.client()
    placed = [await place(buyer, plan_id=plan) for plan in (1, 2, 3)]
    first = (await buyer.get(ORDERS, params={"limit": 2})).json()
    rest = (await buyer.get(ORDERS, params={"limit": 2, "cursor": first["next"]})).json()
    assert [order["id"] for order in first["results"] + rest["results"]] == [order["id"] for order in placed[::-1]]
    assert rest["next"] is None
    assert (await buyer.get(ORDERS, params={"cursor": "rubbish"})).json()["code"] == "invalid_cursor"
    assert (await buyer.get(ORDERS, params={"unknown": 1})).status_code == 422


@pytest.mark.parametrize("path", [ORDERS, PAYMENTS, "/api/tenants/invoices/"])
async def test_the_cursor_of_another_list_is_refused(billing: Billing, path: str) -> None:
    cursor = Cursor(("2026-11-22T12:00:00+00:00", "x")).encode()
    answer = await billing.client(tenant_id=uuid7(), roles=["owner"]).get(path, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


async def test_an_unpaid_order_is_cancelled_once_and_for_all(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    for _ in range(2):
        answer = await buyer.post(f"{ORDERS}{order['id']}/cancel/")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    refused = await buyer.post(
        f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 2, "phone_number": "237670000001"}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "order_not_payable")


async def test_a_paid_order_is_not_cancelled(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    answer = await buyer.post(f"{ORDERS}{order['id']}/cancel/")
    assert (answer.status_code, answer.json()["code"]) == (409, "order_not_cancellable")


def _comparable(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name not in {"request_id", "instance"}}


@pytest.mark.invariant("S9")
@pytest.mark.invariant("S8")
async def test_a_foreign_order_or_payment_answers_as_a_missing_one_does(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    payment = await by_momo(buyer, order, "46733123454")
    strangers = [billing.client(), billing.client(tenant_id=uuid7(), roles=["owner"])]
    missing = str(uuid4())
    for stranger in strangers:
        for method, path, body in (
            ("GET", ORDERS + "{}/", None),
            ("POST", ORDERS + "{}/cancel/", None),
            ("POST", ORDERS + "{}/verify_payment/", None),
            ("POST", ORDERS + "{}/initiate_payment/", {"payment_method_id": 2, "phone_number": "237670000001"}),
        ):
            foreign = await stranger.request(method, path.format(order["id"]), json=body)
            unknown = await stranger.request(method, path.format(missing), json=body)
            assert foreign.status_code == unknown.status_code == 404
            assert _comparable(foreign) == _comparable(unknown)
        foreign = await stranger.get(f"{PAYMENTS}{payment['payment_id']}/")
        assert _comparable(foreign) == _comparable(await stranger.get(f"{PAYMENTS}{missing}/"))
        assert (await stranger.get(ORDERS)).json()["results"] == []
        assert (await stranger.get(PAYMENTS)).json()["results"] == []


async def test_without_an_active_organization_i_see_my_own_and_with_one_its_orders(billing: Billing) -> None:
    me = uuid7()
    alone = billing.client(user_id=me)
    order = await place(alone)
    await by_momo(alone, order)
    await until_paid(alone, order)
    tenant_id = await billing.provision(order)
    colleague = billing.client(tenant_id=tenant_id, roles=["viewer"])
    listed = (await colleague.get(ORDERS)).json()["results"]
    assert [(found["id"], found["organization"]["id"]) for found in listed] == [(order["id"], str(tenant_id))]
    assert len((await colleague.get(PAYMENTS)).json()["results"]) == 1
    elsewhere = billing.client(user_id=me, tenant_id=uuid7(), roles=["owner"])
    assert (await elsewhere.get(ORDERS)).json()["results"] == []
    # My own order is readable by its id, whatever is active.
    assert (await elsewhere.get(f"{ORDERS}{order['id']}/")).status_code == 200


async def test_an_order_of_nothing_is_settled_at_once(billing: Billing) -> None:
    staff = billing.client(staff=["finance"])
    code = f"FREE{uuid4().hex[:8]}"
    made = await staff.post("/api/admin/coupons/", json={"code": code, "percent": "100", "reason": "a gift"})
    assert made.status_code == 201, made.text
    order = await place(billing.client(), coupon_code=code)
    assert (order["total_amount"], order["status"], order["payment_status"]) == ("0", "paid", "paid")
    rows = await billing.rows("select total_minor from invoices where order_id = $1", id=UUID(order["id"]))
    assert [row["total_minor"] for row in rows] == [0]


async def test_the_gateways_token_is_demanded_everywhere(billing: Billing) -> None:
    bare = billing.client()
    bare.auth = None
    for path in ("/api/tenants/plans/", ORDERS, "/api/admin/payments/"):
        assert (await bare.get(path)).status_code == 401
