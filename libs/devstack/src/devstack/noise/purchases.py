"""Two purchases while providers fail, and the proof that each was right, once: with us and with the provider."""

import json
from typing import Any

import httpx

from devstack.customer import JSON, MTN_MOMO, PAYPAL, Customer, Refused, until
from devstack.demo.purchase import BRONZE, SILVER

TOLD_SECONDS = 180.0
TRY_AGAIN_SECONDS = 60.0
PAID_SECONDS = 180.0
"""Without its callback a payment is asked about, at growing pauses."""


class BoughtWrong(AssertionError):
    """A purchase is not what was ordered, or not once; the message says what there is."""


async def by_mobile_money(customer: Customer, endpoints: dict[str, Any], name: str) -> None:
    """Buy Silver; the organization, the invoice and the request to pay are there once each."""
    order, payment = await _ordered(customer, SILVER, MTN_MOMO, name)
    await customer.paid(order, seconds=PAID_SECONDS)
    await _right_once(customer, order)
    asked = [
        json.loads(entry["body"])
        for entry in await _requests(endpoints["mtn_momo"], "/collection/v1_0/requesttopay")
        if entry["status"] == httpx.codes.ACCEPTED
    ]
    asked = [body for body in asked if body["externalId"] == payment["payment_id"]]
    if len(asked) != 1 or float(asked[0]["amount"]) != float(order["total_amount"]):
        raise BoughtWrong(f"MoMo was asked for {[body['amount'] for body in asked]}, not {order['total_amount']} once")


async def by_paypal(customer: Customer, endpoints: dict[str, Any], name: str) -> None:
    """Buy Bronze; the money is taken once, and every event about it has been taken note of."""
    order, payment = await _ordered(customer, BRONZE, PAYPAL, name)
    address = await customer.approve_on_paypal(payment["redirect_url"])
    await customer.paid(order, seconds=PAID_SECONDS)
    theirs = httpx.URL(address).params["token"]
    await _all_told(endpoints["paypal"], theirs)
    await _right_once(customer, order)
    captures = await _requests(endpoints["paypal"], f"/v2/checkout/orders/{theirs}/capture")
    taken = [entry for entry in captures if entry["status"] == httpx.codes.CREATED]
    made = [
        entry
        for entry in await _requests(endpoints["paypal"], "/v2/checkout/orders")
        if payment["payment_id"] in entry["body"] and entry["status"] in (httpx.codes.CREATED, httpx.codes.OK)
    ]
    if len(taken) != 1 or len(made) != 1:
        raise BoughtWrong(f"PayPal made {len(made)} orders and took money {len(taken)} times")


async def _ordered(customer: Customer, plan: int, method: int, name: str) -> tuple[JSON, JSON]:
    """Order and pay, as somebody who tries again when the provider cannot be reached."""
    await customer.register(name)
    await customer.log_in()
    order = await customer.order(plan, name)

    async def act() -> JSON:
        try:
            return await customer.pay(order, method)
        except Refused as refused:
            if refused.answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                return {}
            raise

    return order, await until(act, bool, seconds=TRY_AGAIN_SECONDS)


async def _right_once(customer: Customer, order: JSON) -> None:
    """One active organization with the plan, and one invoice over the order's total."""
    await customer.log_in()
    organizations = (await customer.get("/api/tenants/organizations/"))["results"]
    invoices = (await customer.get("/api/tenants/invoices/"))["results"]
    found = [(one["name"], one["status"]) for one in organizations]
    if found != [(order["customer_name"], "active")]:
        raise BoughtWrong(f"organizations: {found}")
    billed = [(invoice["order_id"], invoice["total_amount"]) for invoice in invoices]
    if billed != [(order["id"], order["total_amount"])]:
        raise BoughtWrong(f"invoices: {billed}, ordered {order['total_amount']}")


async def _all_told(paypal: str, theirs: str) -> None:
    """Wait until PayPal has told the approval, and the capture more than once, and we took each."""

    async def look() -> JSON:
        async with httpx.AsyncClient(trust_env=False) as http:
            events = (await http.get(f"{paypal}/_sim/events")).json()["results"]
        mine = [event for event in events if theirs in json.dumps(event["event"])]
        return {event["type"]: [s for s in event["deliveries"] if httpx.codes.is_success(s)] for event in mine}

    def done(told: JSON) -> bool:
        approved, captured = told.get("CHECKOUT.ORDER.APPROVED", []), told.get("PAYMENT.CAPTURE.COMPLETED", [])
        return bool(approved) and len(captured) > 1

    await until(look, done, seconds=TOLD_SECONDS)


async def _requests(provider: str, path: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(trust_env=False) as http:
        found: list[dict[str, Any]] = (await http.get(f"{provider}/_sim/requests", params={"path": path})).json()[
            "results"
        ]
    return found
