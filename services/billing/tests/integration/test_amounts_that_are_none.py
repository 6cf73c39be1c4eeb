"""Amounts that are none, wherever somebody may write one: refused with a code, never a broken server, nothing changes."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from billing.testing import PAYMENTS, Billing, initiate, pay_by_transfer, place

pytestmark = pytest.mark.integration
NO_AMOUNTS = [
    "", " ", "-1", "-0", "0", "+5", "1e3", "1E3", "NaN", "nan", "Infinity", "-inf", "0x10", "1_000",
    "1,000", "1.", ".5", "1.5", "1.0000001", "½", "²", "٥٠٠", "５００", "五百", "5\u0000", "5\u200b", "9" * 29,
    "99999999999999999999", "999999999999999999", "9007199254740992", "9223372036854775808", "true", "null", "'; drop table payments; --",
]  # fmt: skip
NO_TEXTS: list[Any] = [5, 5.5, True, [], {}, ["5"], {"amount": "5"}]
FIELDS = ["transfer", "refund", "coupon", "minimum", "percent", "price"]


@pytest.fixture
async def desk(billing: Billing) -> AsyncIterator[Any]:
    """A function that writes an amount into one of the fields that take one."""
    finance, buyer = billing.client(staff=["finance"]), billing.client()
    waiting = await initiate(buyer, await place(buyer), 3)
    other = billing.client()
    paid = await place(other)
    await pay_by_transfer(billing, other, paid)
    payments = (await other.get(PAYMENTS)).json()["results"]

    async def write(field: str, amount: Any) -> Any:
        coupon = {"code": f"A{uuid4().hex[:10]}", "reason": "an attack"}
        path, method, body = {
            "transfer": (
                f"{PAYMENTS}{waiting['payment_id']}/verify_bank_transfer/",
                "POST",
                {"approve": True, "amount": amount},
            ),
            "refund": (
                f"/api/admin/payments/{payments[0]['id']}/refunds/",
                "POST",
                {"amount": amount, "reason": "an attack"},
            ),
            "coupon": ("/api/admin/coupons/", "POST", coupon | {"amounts": {"XAF": amount}}),
            "minimum": ("/api/admin/coupons/", "POST", coupon | {"percent": "5", "minimum": {"XAF": amount}}),
            "percent": ("/api/admin/coupons/", "POST", coupon | {"percent": amount}),
            "price": (
                "/api/admin/plans/3/",
                "PATCH",
                {"prices": [{"billing_cycle": "monthly", "currency": "XAF", "amount": amount}], "reason": "an attack"},
            ),
        }[field]
        return await finance.request(method, path, json=body)

    yield write


async def money(billing: Billing) -> list[Any]:
    return await billing.rows(
        "select (select count(*) from ledger_entries) as entries, (select count(*) from refunds) as refunds,"
        " (select count(*) from coupons) as coupons, (select count(*) from plan_versions) as versions,"
        " (select count(*) from payments where status = 'completed') as completed"
    )


@pytest.mark.invariant("S17")
@pytest.mark.parametrize("field", FIELDS)
async def test_what_is_no_amount_is_refused_and_changes_nothing(billing: Billing, desk: Any, field: str) -> None:
    before = await money(billing)
    taken = {}
    for amount in NO_AMOUNTS + NO_TEXTS:
        if field == "percent" and repr(amount) in {"'0'", "'1.5'"}:
            continue  # Nothing off, and a percentage with a fraction, are terms that may be meant.
        answer = await desk(field, amount)
        if answer.status_code not in {409, 422}:
            taken[repr(amount)] = (answer.status_code, answer.text[:100])
    assert taken == {}
    assert await money(billing) == before
