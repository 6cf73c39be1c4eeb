"""Customers who want more than they paid for: twice for one payment, one coupon twice, another's papers, a better price."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import pytest
from common.ids import uuid7
from devstack.customer import BANK_TRANSFER, JSON, MTN_MOMO, PAYPAL, Customer, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

ORDERS, PAYMENTS, INVOICES = "/api/tenants/orders/", "/api/tenants/payments/", "/api/tenants/invoices/"
WAITS_FOR_EVER = "46733123454"
"""At MTN's simulator: a payer who decides nothing."""


async def owner_of(customer: Customer, name: str, **more: str) -> JSON:
    """Buy an organization by PayPal and work for it from then on; return its order."""
    order = await customer.order(1, name, **more)
    started = await customer.pay(order, PAYPAL)
    await customer.approve_on_paypal(started["redirect_url"])
    await customer.paid(order)
    await customer.log_in()
    return order


async def stands(customer: Customer) -> tuple[int, int, int]:
    """Return how many organizations, invoices and paid periods he has."""
    organizations = (await customer.get("/api/tenants/organizations/"))["results"]
    invoices = (await customer.get(INVOICES))["results"]
    periods = (await customer.get("/api/tenants/subscription/"))["periods"]
    return len(organizations), len(invoices), len(periods)


@pytest.mark.invariant("S24")
async def test_whoever_pays_one_order_by_two_ways_at_once_gets_one_period_and_keeps_his_money(new_customer) -> None:
    payer: Customer = await new_customer()
    order = await payer.order(1, "Twice")
    by_paypal = await payer.pay(order, PAYPAL)
    path = f"{ORDERS}{order['id']}/initiate_payment/"
    momo = {"order_id": order["id"], "payment_method_id": MTN_MOMO, "phone_number": "237670000001"}
    answers, _ = await asyncio.gather(
        asyncio.gather(*(payer.http.post(path, json=momo) for _ in range(50))),
        payer.approve_on_paypal(by_paypal["redirect_url"]),
    )
    assert {answer.status_code for answer in answers} <= {200, 409, 429}
    await payer.paid(order)
    await payer.log_in()
    await asyncio.gather(*(payer.http.post(f"{ORDERS}{order['id']}/verify_payment/") for _ in range(50)))
    assert await stands(payer) == (1, 1, 1)


@pytest.mark.invariant("S22")
@pytest.mark.invariant("S25")
async def test_news_of_paypal_that_is_sent_again_and_again_changes_nothing(new_customer, endpoints) -> None:
    payer: Customer = await new_customer()
    order = await owner_of(payer, "Replay")
    (payment,) = (await payer.get(PAYMENTS))["results"]
    before = (await payer.get("/api/tenants/subscription/"), await stands(payer))
    async with httpx.AsyncClient(base_url=endpoints["paypal"], trust_env=False, timeout=30) as paypal:

        async def delivered() -> list[JSON]:
            events = (await paypal.get("/_sim/events")).json()["results"]
            return [event["event"] for event in events if payment["id"] in str(event["event"])]

        mine = await until(delivered, bool, seconds=30)
        stolen = {"paypal-transmission-id": "1", "paypal-transmission-sig": "AAAA", "paypal-auth-algo": "SHA256withRSA"}
        for event in [*mine, *(each | {"id": f"WH-{uuid4()}"} for each in mine)]:
            answer = await payer.http.post("/webhooks/paypal/", json=event, headers=stolen)
            assert answer.status_code == 403
    await asyncio.gather(*(payer.http.post(f"{ORDERS}{order['id']}/verify_payment/") for _ in range(50)))
    assert (await payer.get("/api/tenants/subscription/"), await stands(payer)) == before


@pytest.mark.invariant("S32")
async def test_a_coupon_for_one_use_is_used_once_at_once_and_not_again_while_its_order_may_be_paid(
    new_customer, signed_in_staff
) -> None:
    staff: Customer = await signed_in_staff(0)
    code = f"ONCE-{uuid7().hex[-8:].upper()}"
    body = {"code": code, "percent": "50", "max_redemptions": 1, "reason": "a test"}
    await staff.post("/api/admin/coupons/", body, expect=201)
    people = [await new_customer() for _ in range(3)]

    def order(who: Customer, number: int) -> JSON:
        return {
            "plan_id": 1,
            "billing_cycle": "monthly",
            "customer_name": f"Rabais {number}",
            "customer_email": who.email,
            "coupon_code": code,
        }

    answers = await asyncio.gather(
        *(people[at % 3].http.post(ORDERS, json=order(people[at % 3], at)) for at in range(51))
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 422: 50}
    at, won = next((at, answer.json()) for at, answer in enumerate(answers) if answer.status_code == 201)
    winner = people[at % 3]
    assert won["total_amount"] == "12500"
    # He lets the payer's telephone ring, takes the order back, and wants the coupon for another one.
    await winner.pay(won, MTN_MOMO, phone_number=WAITS_FOR_EVER)
    await winner.http.post(f"{ORDERS}{won['id']}/cancel/")
    again = await winner.http.post(ORDERS, json=order(winner, 99))
    assert (again.status_code, again.json()["code"]) == (422, "coupon_refused")


@pytest.mark.invariant("S16")
async def test_nobody_but_finance_changes_a_price_and_no_order_is_edited(new_customer) -> None:
    buyer: Customer = await new_customer()
    placed = await buyer.order(3, "Pas cher")
    path = f"{ORDERS}{placed['id']}/"
    for method in ("PATCH", "PUT", "DELETE"):
        answer = await buyer.http.request(method, path, json={"total_amount": "1", "status": "paid"})
        assert answer.status_code in {404, 405}, (method, answer.text)
    cheap = {"monthly_price": "1", "reason": "please"}
    for target, body in (
        ("/api/admin/plans/3/", cheap),
        ("/api/tenants/plans/3/", cheap),
        ("/api/admin/coupons/FREE/switch/", {"is_active": True, "reason": "please"}),
    ):
        for method in ("PATCH", "POST", "PUT"):
            answer = await buyer.http.request(method, target, json=body)
            assert answer.status_code in {403, 404, 405}, (method, target, answer.text)
    pay = {"payment_method_id": BANK_TRANSFER, "amount": "1"}
    assert (await buyer.http.post(f"{path}initiate_payment/", json=pay)).status_code == 422
    started = await buyer.pay(placed, BANK_TRANSFER)
    assert started["bank_details"]["amount"] == "100000"
    approve = {"approve": True, "amount": "100000"}
    own = await buyer.http.post(f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json=approve)
    assert own.status_code == 403
    assert (await buyer.get(path))["payment_status"] != "paid"


@pytest.mark.invariant("S9")
@pytest.mark.invariant("S41")
async def test_another_customers_orders_payments_receipts_and_invoices_are_as_good_as_none(new_customer) -> None:
    victim, thief = await new_customer(), await new_customer()
    theirs = await owner_of(victim, "Victime")
    await owner_of(thief, "Voleur")
    (invoice,) = (await victim.get(INVOICES))["results"]
    (payment, *_) = (await victim.get(PAYMENTS))["results"]
    renewal = await victim.order(1, "Victime", kind="renewal")
    waiting = await victim.pay(renewal, BANK_TRANSFER)
    receipt = {"files": {"file": ("recu.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")}}
    calls: list[tuple[str, str, str, JSON]] = [
        ("GET", INVOICES, f"{invoice['id']}/", {}),
        ("GET", INVOICES, f"{invoice['id']}/download/", {}),
        ("GET", PAYMENTS, f"{payment['id']}/", {}),
        ("POST", PAYMENTS, f"{waiting['payment_id']}/receipt/", receipt),
        *(("GET", ORDERS, f"{order['id']}/", {}) for order in (theirs, renewal)),
        ("POST", ORDERS, f"{renewal['id']}/cancel/", {}),
        ("POST", ORDERS, f"{renewal['id']}/verify_payment/", {}),
        ("POST", ORDERS, f"{renewal['id']}/initiate_payment/", {"json": {"payment_method_id": BANK_TRANSFER}}),
    ]

    def told(answer: httpx.Response) -> tuple[int, JSON]:
        said = {name: value for name, value in answer.json().items() if name not in {"request_id", "instance"}}
        return answer.status_code, said

    for method, base, rest, more in calls:
        known = rest.split("/")[0]
        real, none = [
            await thief.http.request(method, f"{base}{rest.replace(known, one)}", **more)
            for one in (known, str(uuid7()))
        ]
        assert real.status_code == 404, (method, rest, real.text)
        assert told(real) == told(none), (method, rest)
    assert (await victim.get(f"{ORDERS}{renewal['id']}/"))["status"] == "payment_pending"


@pytest.mark.invariant("S73")
async def test_an_upgrade_and_the_refund_of_what_it_replaced_are_not_both_had(new_customer, signed_in_staff) -> None:
    customer: Customer = await new_customer()
    await owner_of(customer, "Deux fois")
    (payment, *_) = (await customer.get(PAYMENTS))["results"]
    upgrade = await customer.order(3, "Deux fois")
    assert 24_990 <= int(upgrade["credit_amount"]) <= 25_000
    started = await customer.pay(upgrade, PAYPAL)
    await customer.approve_on_paypal(started["redirect_url"])

    async def verified() -> JSON:
        return await customer.verify(upgrade)

    await until(verified, lambda found: found["payment_status"] == "paid", seconds=60)
    staff: Customer = await signed_in_staff(1)
    wanted = {"amount": "38.11", "reason": "he says that it never worked"}
    refused = await staff.http.post(f"/api/admin/payments/{payment['id']}/refunds/", json=wanted)
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_too_large")


@pytest.mark.invariant("S14")
async def test_finance_reads_nothing_of_customers_without_a_reason(new_customer, signed_in_staff) -> None:
    buyer: Customer = await new_customer()
    placed = await buyer.order(1, "Curieuse")
    staff: Customer = await signed_in_staff(0)
    for path in ("orders", "payments", "invoices", "cases", "refunds", "disputes", "revenue"):
        refused = await staff.http.get(f"/api/admin/{path}/")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), path
        assert "Curieuse" not in refused.text
    asked = {"params": {"order_number": placed["order_number"]}, "headers": {"X-Reason": "the buyer's question"}}
    shown = await staff.http.get("/api/admin/orders/", **asked)
    assert [order["id"] for order in shown.json()["results"]] == [placed["id"]]
    curious = await buyer.http.get("/api/admin/orders/", **asked)
    assert (curious.status_code, curious.json()["code"]) == (403, "staff_only")
