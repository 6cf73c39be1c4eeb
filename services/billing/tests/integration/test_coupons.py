"""Coupons through the API: what they take off, that their limits hold under contention, and that uses come back."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from billing.testing import ORDERS, Billing, by_momo, order_body, place
from common.ids import uuid7

pytestmark = pytest.mark.integration
VALIDATE = "/api/tenants/coupons/validate/"


async def coupon(billing: Billing, **terms: Any) -> str:
    code = f"P{uuid4().hex[:10]}".upper()
    body = {"code": code, "reason": "a campaign"} | ({} if "amounts" in terms else {"percent": "10"}) | terms
    answer = await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=body)
    assert answer.status_code == 201, answer.text
    return code


async def uses(billing: Billing, code: str) -> int:
    return int((await billing.rows("select redemptions from coupons where code = $1", code=code))[0]["redemptions"])


async def test_validate_tells_the_discount_and_the_total(billing: Billing) -> None:
    code = await coupon(billing, percent="12.5")
    body = {"code": code.lower(), "plan_id": 2, "billing_cycle": "monthly"}
    answer = (await billing.client().post(VALIDATE, json=body)).json()
    assert answer == {
        "valid": True,
        "discount_amount": "6250",
        "total_amount": "43750",
        "currency": "XAF",
        "reason": None,
        "message": None,
    }
    assert await uses(billing, code) == 0


async def test_an_order_with_a_coupon_costs_less(billing: Billing) -> None:
    code = await coupon(billing, amounts={"XAF": "4000"})
    order = await place(billing.client(), coupon_code=code)
    assert (order["subtotal"], order["discount_amount"], order["total_amount"]) == ("50000", "4000", "46000")


async def test_reasons_are_told(billing: Billing) -> None:
    now = billing.clock.now()
    cases = {
        "not_started": await coupon(billing, valid_from=(now + timedelta(days=1)).isoformat()),
        "expired": await coupon(billing, valid_until=(now - timedelta(days=1)).isoformat()),
        "other_plan": await coupon(billing, plan_ids=[1]),
        "below_minimum": await coupon(billing, minimum={"XAF": "60000"}),
        "other_currency": await coupon(billing, amounts={"EUR": "5.00"}),
        "used_up": await coupon(billing, max_redemptions=0),
        "used_by_customer": await coupon(billing, max_per_customer=0),
        "unknown": "NOSUCHCODE",
    }
    buyer = billing.client()
    for reason, code in cases.items():
        body = {"code": code, "plan_id": 2, "billing_cycle": "monthly"}
        answer = (await buyer.post(VALIDATE, json=body)).json()
        assert (answer["valid"], answer["reason"], answer["total_amount"]) == (False, reason, "50000")
        refused = await buyer.post(ORDERS, json=order_body(coupon_code=code))
        assert (refused.status_code, refused.json()["reason"]) == (422, reason)


@pytest.mark.invariant("S32")
async def test_k_redemptions_at_once_of_m_uses_succeed_exactly_m_times(billing: Billing) -> None:
    code = await coupon(billing, max_redemptions=5)
    buyers = [billing.client() for _ in range(60)]
    answers = await asyncio.gather(*(buyer.post(ORDERS, json=order_body(coupon_code=code)) for buyer in buyers))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [422] * 55
    assert await uses(billing, code) == 5


@pytest.mark.invariant("S32")
async def test_a_cancelled_order_gives_its_use_back_once(billing: Billing) -> None:
    code = await coupon(billing, max_redemptions=1)
    buyer = billing.client()
    order = await place(buyer, coupon_code=code)
    other = billing.client()
    assert (await other.post(ORDERS, json=order_body(coupon_code=code))).status_code == 422
    await asyncio.gather(*(buyer.post(f"{ORDERS}{order['id']}/cancel/") for _ in range(50)))
    assert await uses(billing, code) == 0
    assert (await other.post(ORDERS, json=order_body(coupon_code=code))).status_code == 201


@pytest.mark.invariant("S32")
async def test_a_customers_own_limit_holds_across_his_organizations(billing: Billing) -> None:
    code = await coupon(billing, max_per_customer=1)
    me = uuid7()
    await place(billing.client(user_id=me), coupon_code=code, kind="new")
    again = await billing.client(user_id=me, tenant_id=uuid7()).post(
        ORDERS, json=order_body(coupon_code=code, kind="new", customer_name="Deuxième")
    )
    assert (again.status_code, again.json()["reason"]) == (422, "used_by_customer")
    assert (await billing.client().post(ORDERS, json=order_body(coupon_code=code))).status_code == 201


@pytest.mark.invariant("S32")
async def test_a_customers_own_limit_holds_for_orders_that_he_places_at_once(billing: Billing) -> None:
    code, me = await coupon(billing, max_per_customer=2), uuid7()
    places = [billing.client(user_id=me, tenant_id=uuid7()) for _ in range(50)]
    answers = await asyncio.gather(
        *(
            client.post(ORDERS, json=order_body(coupon_code=code, kind="new", customer_name=f"Filiale {number}"))
            for number, client in enumerate(places)
        )
    )
    assert {answer.status_code for answer in answers} == {201, 422}
    held = "select 1 from orders where coupon_code = $1 and status not in ('cancelled', 'failed')"
    assert len(await billing.rows(held, code=code)) == await uses(billing, code)
    assert 1 <= await uses(billing, code) <= 2


@pytest.mark.parametrize(
    ("terms", "status", "code"),
    [
        ({}, 422, "coupon_terms_invalid"),
        ({"percent": "10", "amounts": {"XAF": "5"}}, 422, "coupon_terms_invalid"),
        ({"percent": "100.01"}, 422, "coupon_terms_invalid"),
        ({"percent": "0"}, 422, "coupon_terms_invalid"),
        ({"percent": "5", "plan_ids": [77]}, 404, "plan_not_found"),
        (
            {"percent": "5", "valid_from": "2027-01-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"},
            422,
            "coupon_never_holds",
        ),
        ({"percent": "-1"}, 422, "invalid_request"),
        ({"amounts": {"XAF": "1.5"}}, 422, "amount_invalid"),
        ({"amounts": {"ZZZ": "1"}}, 422, "amount_invalid"),
    ],
)
async def test_terms_that_make_no_coupon_are_refused(
    billing: Billing, terms: dict[str, Any], status: int, code: str
) -> None:
    body = {"code": f"X{uuid4().hex[:10]}", "reason": "a campaign"} | terms
    answer = await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_code_is_given_once_and_only_by_finance(billing: Billing) -> None:
    code = await coupon(billing)
    body = {"code": code, "percent": "5", "reason": "again"}
    taken = await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, "coupon_code_taken")
    assert (await billing.client(staff=["support"]).post("/api/admin/coupons/", json=body)).status_code == 403


@pytest.mark.invariant("S19")
@pytest.mark.parametrize(("percent", "total"), [("0.01", "24997"), ("33.33", "16667"), ("12.35", "21912")])
async def test_a_percentage_that_leaves_a_rest_is_rounded_once_and_mtn_is_asked_for_exactly_that(
    world: Any, percent: str, total: str
) -> None:
    billing = world.billing
    code = await coupon(billing, percent=percent)
    buyer = billing.client()
    order = await place(buyer, plan_id=1, coupon_code=code)
    assert order["total_amount"] == total
    await by_momo(buyer, order)
    sent = await world.requests(world.momo, "/collection/v1_0/requesttopay")
    assert [json.loads(entry["body"])["amount"] for entry in sent] == [total]


async def test_customers_see_no_list_of_codes(billing: Billing) -> None:
    await coupon(billing)
    for customer in (billing.client(), billing.client(tenant_id=uuid7(), roles=["owner"])):
        assert (await customer.get("/api/admin/coupons/")).status_code == 403
        assert (await customer.get("/api/tenants/coupons/")).status_code == 404


@pytest.mark.invariant("S32")
async def test_finance_switches_a_coupon_off_and_on_with_a_reason(billing: Billing) -> None:
    staff, buyer = billing.client(staff=["finance"]), billing.client()
    body = {"code": "LEAKED10", "percent": "10", "reason": "spring campaign"}
    assert (await staff.post("/api/admin/coupons/", json=body)).status_code == 201
    kept = await place(buyer, coupon_code="LEAKED10")
    path = "/api/admin/coupons/leaked10/switch/"
    off = await staff.post(path, json={"is_active": False, "reason": "it leaked to a forum"})
    assert (off.status_code, off.json()["is_active"], off.json()["redemptions"]) == (200, False, 1)
    asked = {"code": "LEAKED10", "plan_id": 1, "billing_cycle": "monthly"}
    said = (await buyer.post("/api/tenants/coupons/validate/", json=asked)).json()
    assert (said["valid"], said["reason"]) == (False, "switched_off")
    refused = await billing.client().post(ORDERS, json=order_body(coupon_code="LEAKED10"))
    assert refused.json()["code"] == "coupon_refused"
    assert (await buyer.get(f"{ORDERS}{kept['id']}/")).json()["discount_amount"] == "5000"
    assert (await staff.post(path, json={"is_active": True, "reason": "mended"})).json()["is_active"] is True
    assert (await buyer.post("/api/tenants/coupons/validate/", json=asked)).json()["valid"] is True
    rows = await billing.rows("select action, reason from audit_log where target = 'LEAKED10' order by at")
    assert [(row["action"], row["reason"]) for row in rows] == [
        ("coupon.created", "spring campaign"),
        ("coupon.switched_off", "it leaked to a forum"),
        ("coupon.switched_on", "mended"),
    ]
    assert (await buyer.post(path, json={"is_active": False, "reason": "mine now"})).status_code == 403
    unknown = await staff.post("/api/admin/coupons/NONE/switch/", json={"is_active": False, "reason": "why not"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "coupon_not_found")
