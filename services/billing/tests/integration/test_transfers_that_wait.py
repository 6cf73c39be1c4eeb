"""Submitted transfers that nobody approves or rejects: finance is reminded, orders end, coupons are free again, and
money that is found late still pays."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import ORDERS, PAYMENTS, Billing, initiate, order_body, place, verify
from common.ids import uuid7

pytestmark = pytest.mark.integration

REMINDER, GIVEN_UP = timedelta(days=5), timedelta(days=30)
HOUR = timedelta(hours=1)


async def coupon(billing: Billing, **terms: Any) -> str:
    body = {"code": f"P{uuid4().hex[:10]}".upper(), "reason": "a campaign", "percent": "50"} | terms
    assert (await billing.client(staff=["finance"]).post("/api/admin/coupons/", json=body)).status_code == 201
    return str(body["code"])


async def redemptions(billing: Billing, code: str) -> int:
    rows = await billing.rows("select redemptions from coupons where code = $1", code=code)
    return int(rows[0]["redemptions"])


async def waiting(billing: Billing, **changes: Any) -> tuple[Any, dict[str, Any], UUID]:
    buyer = billing.client()
    order = await place(buyer, **changes)
    return buyer, order, UUID((await initiate(buyer, order, 3))["payment_id"])


async def cases(billing: Billing, payment_id: UUID) -> list[tuple[str, bool]]:
    rows = await billing.rows(
        "select kind, closed_at is null as open from cases where payment_id = $1 order by opened_at", id=payment_id
    )
    return [(row["kind"], row["open"]) for row in rows]


async def passes(billing: Billing, by: timedelta) -> None:
    billing.clock.advance(by)
    await billing.calendar.run_due()


async def decide(billing: Billing, payment_id: UUID, **body: Any) -> Any:
    finance = billing.client(staff=["finance"])
    return await finance.post(f"{PAYMENTS}{payment_id}/verify_bank_transfer/", json={"approve": True} | body)


async def order_of(client: Any, order: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.get(f"{ORDERS}{order['id']}/")).json()
    return answer


@pytest.mark.invariant("S96")
async def test_finance_has_one_case_about_a_transfer_that_waits_and_none_about_others(billing: Billing) -> None:
    _, _, payment = await waiting(billing)
    _, _, checked = await waiting(billing)
    assert (await decide(billing, checked)).status_code == 200
    await passes(billing, REMINDER - HOUR)
    assert await cases(billing, payment) == []
    _, _, younger = await waiting(billing)
    await passes(billing, 2 * HOUR)
    for _ in range(3):
        await passes(billing, timedelta(days=1))
    assert await cases(billing, payment) == [("transfer_waiting", True)]
    assert await cases(billing, checked) == await cases(billing, younger) == []
    rows = await billing.rows("select tenant_id from payments where id in ($1, $2)", a=payment, b=younger)
    for row in rows:
        async with billing.store.for_tenant(row["tenant_id"]) as uow:
            found = await uow.cases.page(None, 10)
        assert {case.payment_id for case in found} <= {payment}
        assert all(case.tenant_id == row["tenant_id"] for case in found), "nobody sees another's"


@pytest.mark.parametrize("body", [{}, {"approve": False, "note": "not on any statement"}])
async def test_what_finance_decides_closes_the_reminder(billing: Billing, body: dict[str, Any]) -> None:
    _, _, payment = await waiting(billing)
    await passes(billing, REMINDER + HOUR)
    assert (await decide(billing, payment, **body)).status_code == 200
    assert await cases(billing, payment) == [("transfer_waiting", False)]


async def test_a_case_that_finance_has_closed_is_not_opened_again(billing: Billing) -> None:
    _, _, payment = await waiting(billing)
    await passes(billing, REMINDER + HOUR)
    case = (await billing.rows("select id from cases where payment_id = $1", id=payment))[0]["id"]
    said = {"reason": "the customer's bank is on strike"}
    closed = await billing.client(staff=["finance"]).post(f"/api/admin/cases/{case}/close/", json=said)
    assert closed.status_code == 200
    await passes(billing, 2 * REMINDER)
    assert await cases(billing, payment) == [("transfer_waiting", False)]


async def test_a_reminder_that_a_crash_lost_comes_a_day_later(billing: Billing) -> None:
    _, _, payment = await waiting(billing)
    billing.clock.advance(REMINDER + HOUR)
    async with billing.store.for_system("janitor") as uow:
        claimed = await uow.polling.claim_transfers(billing.clock.now() - REMINDER, 1_000)
    assert payment in {one.payment_id for one in claimed}
    await passes(billing, HOUR)
    assert await cases(billing, payment) == []
    await passes(billing, timedelta(days=1))
    assert await cases(billing, payment) == [("transfer_waiting", True)]


@pytest.mark.invariant("S32")
@pytest.mark.invariant("S96")
async def test_an_order_whose_transfer_is_never_found_ends_and_frees_its_coupon(billing: Billing) -> None:
    code = await coupon(billing, max_redemptions=1)
    buyer, order, payment = await waiting(billing, coupon_code=code)
    await passes(billing, GIVEN_UP - HOUR)
    assert (await order_of(buyer, order))["status"] == "payment_pending"
    other = billing.client()
    assert (await other.post(ORDERS, json=order_body(coupon_code=code))).status_code == 422
    await passes(billing, 8 * HOUR)
    ended = await order_of(buyer, order)
    assert (ended["status"], ended["payment_status"]) == ("cancelled", "pending")
    assert ("transfer_overdue", True) in await cases(billing, payment)
    mails = await billing.rows("select body_text from mails where key = $1", key=f"transfer_overdue:{payment}")
    assert order["order_number"] in mails[0]["body_text"]
    said = (await buyer.get(f"{PAYMENTS}{payment}/")).json()
    assert (said["status"], said["reason_code"]) == ("submitted", "transfer_overdue")
    assert await redemptions(billing, code) == 0
    assert (await other.post(ORDERS, json=order_body(coupon_code=code))).status_code == 201


@pytest.mark.invariant("S26")
@pytest.mark.invariant("S96")
@pytest.mark.parametrize("used_meanwhile", [False, True])
async def test_money_found_later_pays_the_ended_order_at_its_price(billing: Billing, used_meanwhile: bool) -> None:
    code = await coupon(billing, max_redemptions=1)
    buyer, order, payment = await waiting(billing, coupon_code=code)
    await passes(billing, GIVEN_UP + HOUR)
    if used_meanwhile:
        assert (await billing.client().post(ORDERS, json=order_body(coupon_code=code))).status_code == 201
    assert (await decide(billing, payment)).status_code == 200
    paid = await verify(buyer, order)
    assert (paid["status"], paid["payment_status"]) == ("paid", "paid")
    invoices = await billing.rows("select total_minor from invoices where order_id = $1", id=UUID(order["id"]))
    assert [row["total_minor"] for row in invoices] == [25_000]
    assert (("coupon_used_up", True) in await cases(billing, payment)) == used_meanwhile
    assert ("transfer_overdue", False) in await cases(billing, payment)
    assert await redemptions(billing, code) == 1, "its limit holds either way"
    said = (await buyer.get(f"{PAYMENTS}{payment}/")).json()
    assert (said["status"], said["reason_code"]) == ("completed", None)


@pytest.mark.invariant("S32")
@pytest.mark.invariant("S96")
async def test_replicas_at_once_remind_once_and_give_a_use_back_once(world: Any) -> None:
    billing = world.billing
    code = await coupon(billing, max_redemptions=5)
    kept = billing.client(user_id=uuid7())
    await place(kept, coupon_code=code)
    _, _, payment = await waiting(billing, coupon_code=code, kind="new")
    await initiate(kept, await place(kept, coupon_code=code), 3)
    replica = Billing(billing.database, billing.settings, world.http, billing.clock)
    billing.clock.advance(GIVEN_UP + HOUR)
    await asyncio.gather(*(one.calendar.run_due() for one in (billing, replica) * 25))
    assert await cases(billing, payment) in (
        [("transfer_waiting", True), ("transfer_overdue", True)],
        [("transfer_overdue", True), ("transfer_waiting", True)],
    )
    mails = await billing.rows("select 1 from mails where key = $1", key=f"transfer_overdue:{payment}")
    assert len(mails) == 1
    assert await redemptions(billing, code) == 0
    await replica.close()
