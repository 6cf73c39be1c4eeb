"""Changes of plan at once: what is unused pays, what it is worth beyond the price stays the customer's, in the books too."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, order_body, pay_by_transfer, place, subscribed
from common.ids import uuid7

pytestmark = pytest.mark.integration


async def subscription(billing: Billing, tenant_id: UUID) -> dict[str, Any]:
    rows = await billing.rows(
        "select plan->>'name' as plan, ends_at from subscriptions where tenant_id = $1", t=tenant_id
    )
    return dict(rows[0])


async def balances(billing: Billing, tenant_id: UUID) -> dict[str, int]:
    rows = await billing.rows(
        "select account, sum(amount_minor)::bigint as balance from ledger_postings where tenant_id = $1"
        " group by 1 having sum(amount_minor) <> 0",
        t=tenant_id,
    )
    return {row["account"]: row["balance"] for row in rows}


async def notes(billing: Billing, tenant_id: UUID) -> list[dict[str, Any]]:
    return await billing.rows(
        "select n.*, i.total_minor as invoiced from credit_notes n join invoices i on i.id = n.invoice_id"
        " where n.tenant_id = $1 order by n.sequence",
        t=tenant_id,
    )


async def test_the_answer_of_an_upgrade_shows_how_its_price_comes_about(billing: Billing) -> None:
    owner, _tenant_id = await subscribed(billing, plan_id=1)
    order = await place(owner, plan_id=3)
    shown = order["proration"]
    (unused,) = shown["unused"]
    assert (unused["cost_minor"], shown["price_minor"], shown["currency"]) == (25_000, 100_000, "XAF")
    days = float(unused["days"])
    assert unused["per_day_minor"] == int(25_000 / days + 0.5)
    assert days - 0.02 <= float(unused["days_left"]) <= days
    assert shown["credit_minor"] == shown["credit_used_minor"] == unused["credit_minor"]
    assert shown["due_minor"] == 100_000 - shown["credit_minor"] == int(order["total_amount"])
    assert shown["credit_left_minor"] == 0
    assert shown["explanation"].startswith(f"Credit: {unused['days_left']} of {unused['days']} days that cost 25,000")
    assert "Gold costs 100,000\u00a0XAF before tax; to pay: " in shown["explanation"]
    again = (await owner.get(f"{ORDERS}{order['id']}/")).json()
    assert again["proration"] == shown


@pytest.mark.invariant("S73")
async def test_what_is_unused_beyond_the_price_stays_the_customers_credit(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=2, billing_cycle="yearly")
    order = await place(owner, plan_id=3)
    assert (order["status"], order["payment_status"], order["total_amount"]) == ("completed", "paid", "0")
    left = order["proration"]["credit_left_minor"]
    assert left == order["proration"]["credit_minor"] - 100_000 > 399_000
    assert (await subscription(billing, tenant_id))["plan"] == "gold"
    books = await balances(billing, tenant_id)
    assert books == {"clearing:bank_transfer": 500_000, "customer_credit": -left, "revenue": left - 500_000}
    (note,) = await notes(billing, tenant_id)
    assert (note["total_minor"], note["refund_id"], note["invoiced"]) == (left, None, 500_000)
    # It pays what he orders next, without asking for money.
    renewal = await place(owner, plan_id=3, kind="renewal")
    assert (renewal["kind"], renewal["status"]) == ("renewal", "completed")
    assert (await balances(billing, tenant_id))["customer_credit"] == 100_000 - left


async def test_credit_of_a_former_change_is_not_lost_by_the_next_one(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=1)
    await pay_by_transfer(billing, owner, await place(owner, plan_id=2))
    order = await place(owner, plan_id=3)
    assert order["proration"]["unused"][0]["cost_minor"] == 50_000
    assert 49_990 <= int(order["credit_amount"]) <= 50_000
    await pay_by_transfer(billing, owner, order)
    assert (await subscription(billing, tenant_id))["plan"] == "gold"


async def test_a_smaller_plan_begins_now_where_it_fits(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=3)
    order = await place(owner, plan_id=1, effective="now")
    assert (order["status"], order["effective_at"], order["over_quota"]) == ("completed", None, [])
    current = await subscription(billing, tenant_id)
    assert current["plan"] == "bronze"
    assert current["ends_at"] < billing.clock.now() + timedelta(days=32)
    left = order["proration"]["credit_left_minor"]
    assert (await balances(billing, tenant_id))["customer_credit"] == -left
    assert 74_990 <= left <= 75_000


@pytest.mark.invariant("S38")
async def test_a_smaller_plan_that_is_too_small_is_refused_now_with_what_to_free(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=3)
    for _ in range(5):
        await billing.told(tenant_id, "member.joined", {"user_id": str(uuid7()), "role": "member"})
    await billing.told(tenant_id, "member.removed", {"user_id": str(uuid7())})
    refused = await owner.post(ORDERS, json=order_body(plan_id=1, effective="now"))
    assert (refused.status_code, refused.json()["code"]) == (409, "downgrade_over_usage")
    assert refused.json()["over_quota"] == [{"resource": "max_users", "limit": 2, "current": 5, "to_free": 3}]
    assert (await subscription(billing, tenant_id))["plan"] == "gold"
    scheduled = await place(owner, plan_id=1)
    assert [one["to_free"] for one in scheduled["over_quota"]] == [3]
    assert await balances(billing, tenant_id) == {"clearing:bank_transfer": 100_000, "revenue": -100_000}


@pytest.mark.invariant("S38")
async def test_what_was_added_until_a_smaller_plan_was_paid_is_told_when_it_begins(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=3)
    fitting, _ = await subscribed(billing, plan_id=3)
    order = await place(owner, plan_id=1, billing_cycle="yearly", effective="now")
    fits = await place(fitting, plan_id=1, billing_cycle="yearly", effective="now")
    for _ in range(4):
        await billing.told(tenant_id, "member.joined", {"user_id": str(uuid7()), "role": "member"})
    await pay_by_transfer(billing, owner, order)
    await pay_by_transfer(billing, fitting, fits)
    assert (await subscription(billing, tenant_id))["plan"] == "bronze"
    told = await billing.rows("select key from mails where key like 'plan_too_small:%'")
    mine = [row["key"] for row in told if order["id"] in row["key"]]
    assert len(mine) == 1
    assert not [row["key"] for row in told if fits["id"] in row["key"]]


NOTES = "/api/tenants/credit-notes/"


async def test_a_customer_reads_his_credit_notes_and_nobody_elses(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=3)
    stranger, _other = await subscribed(billing)
    await place(owner, plan_id=1, effective="now")
    (listed,) = (await owner.get(NOTES)).json()["results"]
    assert (listed["organization_id"], listed["refund_id"]) == (str(tenant_id), None)
    assert (await owner.get(f"{NOTES}{listed['id']}/")).json() == listed
    paper = await owner.get(f"{NOTES}{listed['id']}/download/")
    assert (paper.headers["content-type"], paper.content[:5]) == ("application/pdf", b"%PDF-")
    assert f"{listed['credit_note_number']}.pdf" in paper.headers["content-disposition"]
    assert (await stranger.get(NOTES)).json()["results"] == []
    assert (await billing.client().get(NOTES)).json()["results"] == []
    for who in (stranger, billing.client()):
        for path in (f"{NOTES}{listed['id']}/", f"{NOTES}{listed['id']}/download/", f"{NOTES}{uuid7()}/"):
            refused = await who.get(path)
            assert (refused.status_code, refused.json()["code"]) == (404, "credit_note_not_found")


class TestWithVat:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"issuer_vat_registered": True, "issuer_rccm": "RC/DLA/2026/B/1", "issuer_niu": "M012600001234A"}

    async def test_unused_time_stays_with_the_tax_that_was_paid_on_it(self, billing: Billing) -> None:
        owner, tenant_id = await subscribed(billing, plan_id=2, billing_cycle="yearly")
        order = await place(owner, plan_id=3)
        left = order["proration"]["credit_left_minor"]
        (note,) = await notes(billing, tenant_id)
        assert abs(note["total_minor"] - left * 1.1925) <= 2
        books = await balances(billing, tenant_id)
        assert books["customer_credit"] == -note["total_minor"]
        assert books["revenue"] + books["tax"] == note["total_minor"] - 596_250
        assert sum(books.values()) == 0
