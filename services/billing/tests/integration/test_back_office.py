"""Finance's desk: lists over every organization with filters, cases that are closed with a reason, the figures."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import PAYMENTS, Billing, initiate, place
from common.ids import uuid7

pytestmark = pytest.mark.integration

LISTS = (
    "orders", "payments", "invoices", "coupons", "cases", "refunds", "credit-notes", "disputes", "reconciliations",
    "unmatched-movements", "revenue",
)  # fmt: skip
READS = (*LISTS, "bank-statement-lines", "plans/2/versions")


async def sold(billing: Billing, amount: str | None = None, **changes: Any) -> tuple[dict[str, Any], UUID]:
    """An order that was paid by transfer, and its organization."""
    buyer = billing.client()
    order = await place(buyer, **changes)
    started = await initiate(buyer, order, 3)
    body = {"approve": True} | ({"amount": amount} if amount else {})
    answer = await billing.client(staff=["finance"]).post(
        f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json=body
    )
    assert answer.status_code == 200, answer.text
    return order | {"payment_id": started["payment_id"]}, await billing.provision(order)


@pytest.mark.parametrize("who", [{}, {"staff": ["support"]}])
@pytest.mark.parametrize("path", LISTS)
async def test_only_finance_reads_what_is_of_every_organization(
    billing: Billing, path: str, who: dict[str, Any]
) -> None:
    answer = await billing.client(**who).get(f"/api/admin/{path}/")
    assert (answer.status_code, answer.json()["code"]) == (403, "staff_only")


@pytest.mark.invariant("S14")
@pytest.mark.parametrize("path", READS)
async def test_every_read_of_finance_leaves_its_reason_in_the_audit_log(billing: Billing, path: str) -> None:
    me = uuid7()
    reason = {"x-reason": f"question of a customer, {me}"}
    answer = await billing.client(user_id=me, staff=["finance"]).get(f"/api/admin/{path}/", headers=reason)
    assert answer.status_code == 200, answer.text
    rows = await billing.rows("select reason from audit_log where actor = $1", a=str(me))
    assert [row["reason"] for row in rows] == list(reason.values())


@pytest.mark.parametrize("reason", [None, "", "  ", "no"])
@pytest.mark.parametrize("path", READS)
async def test_without_a_reason_finance_reads_nothing(billing: Billing, path: str, reason: str | None) -> None:
    me = uuid7()
    finance = billing.client(user_id=me, staff=["finance"])
    del finance.headers["x-reason"]
    answer = await finance.get(f"/api/admin/{path}/", headers={} if reason is None else {"x-reason": reason})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert [error["field"] for error in answer.json()["errors"]] == ["header.x-reason"]
    assert await billing.rows("select 1 from audit_log where actor = $1", a=str(me)) == []


@pytest.mark.invariant("S14")
async def test_what_finance_reads_of_one_organization_its_owners_see_and_no_other(billing: Billing) -> None:
    (order, tenant_id), (_, other) = await sold(billing), await sold(billing)
    me = uuid7()
    finance = billing.client(user_id=me, staff=["finance"])
    about = {"params": {"organization_id": str(tenant_id)}, "headers": {"x-reason": "the owner asked by telephone"}}
    for path in ("orders", "payments", "invoices", "cases", "refunds"):
        assert (await finance.get(f"/api/admin/{path}/", **about)).status_code == 200
    # An act that is refused has read the payment all the same, to know whose it is.
    asked = {"amount": "999999", "reason": "an old complaint"}
    refused = await finance.post(f"/api/admin/payments/{order['payment_id']}/refunds/", json=asked)
    assert refused.status_code == 409
    rows = await billing.rows("select tenant_id, action, reason from audit_log where actor = $1 order by at", a=str(me))
    assert {row["tenant_id"] for row in rows} == {tenant_id}
    assert [row["reason"] for row in rows] == ["the owner asked by telephone"] * 5 + ["an old complaint"]
    assert rows[-1]["action"] == "payment.read_by_staff"
    seen = await billing.rows(
        "select 1 from outbox where tenant_id = $1 and envelope->'data'->>'actor' = $2", t=other, a=str(me)
    )
    assert seen == []


async def test_a_nul_in_query_or_path_is_refused_like_one_in_a_body(billing: Billing) -> None:
    """PostgreSQL refuses such a text even in a comparison, which would be an error of ours."""
    staff = billing.client(staff=["finance"])
    asked = (
        await staff.get("/api/admin/cases/?kind=sur%00plus"),
        await staff.post("/api/admin/coupons/CODE%00/switch/", json={"is_active": False, "reason": "an attempt"}),
    )
    for answer, field in zip(asked, ("query.kind", "path.code"), strict=True):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_orders_and_invoices_are_found_by_organization_number_and_state_page_by_page(billing: Billing) -> None:
    order, tenant_id = await sold(billing)
    await sold(billing)
    staff = billing.client(staff=["finance"])
    found = (await staff.get("/api/admin/orders/", params={"organization_id": str(tenant_id)})).json()
    assert [(each["id"], each["organization_id"]) for each in found["results"]] == [(order["id"], str(tenant_id))]
    by_id = (await staff.get("/api/admin/orders/", params={"order_id": order["id"]})).json()
    assert [each["order_number"] for each in by_id["results"]] == [order["order_number"]]
    by_number = (await staff.get("/api/admin/orders/", params={"order_number": order["order_number"]})).json()
    assert [each["id"] for each in by_number["results"]] == [order["id"]]
    none = (
        await staff.get("/api/admin/orders/", params={"organization_id": str(tenant_id), "status": "pending"})
    ).json()
    assert none["results"] == []
    first = (await staff.get("/api/admin/orders/", params={"limit": 1, "status": "completed"})).json()
    second = (await staff.get("/api/admin/orders/", params={"limit": 1, "cursor": first["next"]})).json()
    assert first["results"][0]["id"] != second["results"][0]["id"]
    invoices = (await staff.get("/api/admin/invoices/", params={"organization_id": str(tenant_id)})).json()
    assert [each["order_id"] for each in invoices["results"]] == [order["id"]]
    number = invoices["results"][0]["invoice_number"]
    same = (await staff.get("/api/admin/invoices/", params={"invoice_number": number})).json()
    assert [each["invoice_number"] for each in same["results"]] == [number]


async def test_payments_that_are_asked_for_by_nothing_are_those_that_wait_for_a_check(billing: Billing) -> None:
    order, tenant_id = await sold(billing)
    staff = billing.client(staff=["finance"])
    for query in (
        {"order_id": order["id"]},
        {"payment_id": order["payment_id"]},
        {"organization_id": str(tenant_id)},
    ):
        found = (await staff.get("/api/admin/payments/", params=query)).json()["results"]
        assert [(one["id"], one["status"]) for one in found] == [(order["payment_id"], "completed")]
    waiting = (await staff.get("/api/admin/payments/")).json()["results"]
    assert {one["status"] for one in waiting} <= {"submitted"}


@pytest.mark.parametrize("path", ["disputes", "credit-notes"])
async def test_what_was_taken_or_given_back_is_found_by_organization(billing: Billing, path: str) -> None:
    mine, none = uuid7(), uuid7()
    order, tenant_id = await sold(billing)
    staff, me = billing.client(user_id=mine, staff=["finance"]), billing.client(user_id=none, staff=["finance"])
    refund = f"/api/admin/payments/{order['payment_id']}/refunds/"
    asked = (await staff.post(refund, json={"amount": "5000", "reason": "a gesture"})).json()
    await me.post(f"/api/admin/refunds/{asked['id']}/approve/", json={"reason": "a gesture"})
    sent = {"reference": f"VIR-{asked['id']}", "reason": "sent by hand"}
    await staff.post(f"/api/admin/refunds/{asked['id']}/record/", json=sent)
    found = (await staff.get(f"/api/admin/{path}/", params={"organization_id": str(tenant_id)})).json()["results"]
    assert {one["organization_id"] for one in found} == (set() if path == "disputes" else {str(tenant_id)})
    rows = await billing.rows(
        "select tenant_id from audit_log where actor = $1 and action like '%listed_by_staff'", a=str(mine)
    )
    assert [row["tenant_id"] for row in rows] == [tenant_id], "its owners see that finance looked"


async def test_a_customers_lists_are_narrowed_by_state_and_order(billing: Billing) -> None:
    order, tenant_id = await sold(billing)
    member = billing.client(tenant_id=tenant_id, roles=["owner"])
    for status, ids in (("completed", [order["id"]]), ("cancelled", [])):
        found = (await member.get("/api/tenants/orders/", params={"status": status})).json()["results"]
        assert [one["id"] for one in found] == ids
    for order_id, numbers in ((order["id"], 1), (str(uuid7()), 0)):
        found = (await member.get("/api/tenants/invoices/", params={"order_id": order_id})).json()["results"]
        assert len(found) == numbers


@pytest.mark.invariant("S14")
async def test_finance_reads_an_invoice_as_its_customer_does_and_he_can_see_that_it_did(billing: Billing) -> None:
    order, tenant_id = await sold(billing)
    rows = await billing.rows("select id, number from invoices where order_id = $1", id=UUID(order["id"]))
    finance = billing.client(staff=["finance"])
    path = f"{rows[0]['id']}/download/"
    shown = await finance.get(f"/api/admin/invoices/{path}")
    own = await billing.client(tenant_id=tenant_id).get(f"/api/tenants/invoices/{path}")
    assert (shown.status_code, shown.content) == (200, own.content)
    read = await billing.rows(
        "select tenant_id from audit_log where action = 'invoice.read_by_staff' and target = $1", n=str(rows[0]["id"])
    )
    assert [row["tenant_id"] for row in read] == [tenant_id]
    missing = await finance.get(f"/api/admin/invoices/{uuid7()}/download/")
    assert (missing.status_code, missing.json()["code"]) == (404, "invoice_not_found")


async def test_a_case_is_closed_once_by_a_person_with_a_reason(billing: Billing) -> None:
    order, tenant_id = await sold(billing, "60000")
    me = uuid7()
    staff = billing.client(user_id=me, staff=["finance"])
    asked = {"organization_id": str(tenant_id), "is_open": "true"}
    (case,) = (await staff.get("/api/admin/cases/", params=asked)).json()["results"]
    assert (case["kind"], case["payment_id"]) == ("surplus", order["payment_id"])
    path = f"/api/admin/cases/{case['id']}/close/"
    assert (await staff.post(path, json={})).status_code == 422
    closed = await staff.post(path, json={"reason": "kept as credit, customer told"})
    assert (closed.json()["closed_by"], closed.json()["note"]) == (str(me), "kept as credit, customer told")
    again = await staff.post(path, json={"reason": "a second time"})
    assert (again.status_code, again.json()["code"]) == (404, "case_not_found")
    assert (await staff.get("/api/admin/cases/", params=asked)).json()["results"] == []
    rows = await billing.rows("select reason from audit_log where action = 'case.closed' and target = $1", t=case["id"])
    assert [row["reason"] for row in rows] == ["kept as credit, customer told"]
    assert (await staff.post(f"/api/admin/cases/{uuid7()}/close/", json={"reason": "none"})).status_code == 404


async def test_an_unmatched_movement_is_closed_once_with_a_reason(billing: Billing) -> None:
    reference = uuid7().hex
    async with billing.superuser() as connection:
        await connection.execute(
            "insert into unmatched_movements (provider, reference, amount_minor, currency, occurred_at, found_on)"
            " values ('paypal', $1, 1300, 'EUR', now(), current_date)",
            reference,
        )
    staff = billing.client(staff=["finance"])
    listed = (await staff.get("/api/admin/unmatched-movements/")).json()["results"]
    assert [each["amount"] for each in listed if each["reference"] == reference] == ["13.00"]
    path = f"/api/admin/unmatched-movements/paypal/{reference}/close/"
    assert (await staff.post(path, json={"reason": "a donation"})).status_code == 204
    assert (await staff.post(path, json={"reason": "a donation"})).status_code == 404


async def revenue(billing: Billing, **window: str) -> dict[str, Any]:
    answer = await billing.client(staff=["finance"]).get("/api/admin/revenue/", params=window)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def of(figures: list[dict[str, Any]], key: str, currency: str = "XAF", **also: str) -> int:
    wanted = {"currency": currency} | also
    return sum(int(each[key]) for each in figures if all(each[name] == value for name, value in wanted.items()))


async def test_revenue_counts_a_month_of_each_running_subscription_and_what_came_in_by_method(billing: Billing) -> None:
    before = await revenue(billing)
    await sold(billing)
    yearly, _tenant = await sold(billing, billing_cycle="yearly")
    after = await revenue(billing)
    a_month = (int(yearly["total_amount"]) * 2 + 12) // 24
    assert of(after["mrr"], "amount") - of(before["mrr"], "amount") == 50_000 + a_month
    assert after["active_subscriptions"] - before["active_subscriptions"] == 2
    total = 50_000 + int(yearly["total_amount"])
    by_transfer = {"payment_method": "bank_transfer"}
    assert (
        of(after["by_method"], "received", **by_transfer) - of(before["by_method"], "received", **by_transfer) == total
    )
    assert of(after["invoiced"], "amount") - of(before["invoiced"], "amount") == total


async def test_a_refund_lowers_revenue_and_shows_as_churn(billing: Billing) -> None:
    order, _tenant = await sold(billing)
    billing.clock.advance(timedelta(days=2))
    today = billing.clock.now().date()
    window = {"since": today.isoformat(), "until": (today + timedelta(days=1)).isoformat()}
    before = await revenue(billing, **window)
    maker, checker = billing.client(staff=["finance"]), billing.client(staff=["finance"])
    asked = await maker.post(f"/api/admin/payments/{order['payment_id']}/refunds/", json={"reason": "withdrawn"})
    path = f"/api/admin/refunds/{asked.json()['id']}"
    await checker.post(f"{path}/approve/", json={"reason": "fine"})
    await checker.post(f"{path}/record/", json={"reason": "sent", "reference": f"VIR-{order['payment_id']}"})
    after = await revenue(billing, **window)
    assert after["ended"] - before["ended"] == 1
    assert after["active_at_start"] == before["active_at_start"] >= 1
    hundredths = (after["ended"] * 20_000 + after["active_at_start"]) // (2 * after["active_at_start"])
    assert after["churn_percent"] == f"{hundredths // 100}.{hundredths % 100:02d}"
    assert of(after["mrr"], "amount") - of(before["mrr"], "amount") == -50_000
    assert of(after["by_method"], "refunded") - of(before["by_method"], "refunded") == 50_000
    assert of(after["invoiced"], "amount") - of(before["invoiced"], "amount") == -50_000


@pytest.mark.parametrize(("since", "until"), [("2026-01-02", "2026-01-02"), ("2025-01-01", "2026-06-01")])
async def test_a_window_is_forward_and_of_a_year_at_most(billing: Billing, since: str, until: str) -> None:
    answer = await billing.client(staff=["finance"]).get("/api/admin/revenue/", params={"since": since, "until": until})
    assert (answer.status_code, answer.json()["code"]) == (422, "window_invalid")


@pytest.mark.parametrize("statement", ["update audit_log set reason = 'x'", "delete from audit_log"])
async def test_nobody_changes_the_audit_log_not_even_the_servers_owner(billing: Billing, statement: str) -> None:
    await billing.client(staff=["finance"]).get("/api/admin/cases/")
    async with billing.superuser() as connection:
        with pytest.raises(Exception, match="audit_log rows never change"):
            await connection.execute(statement)


async def test_unmatched_movements_are_read_page_by_page(billing: Billing) -> None:
    staff = billing.client(staff=["finance"])
    now = billing.clock.now().replace(year=2031)
    async with billing.superuser() as connection:
        await connection.executemany(
            "insert into unmatched_movements (provider, reference, occurred_at, found_on) values ($1, $2, $3, $4)",
            [("paypal", f"PAGE{number}", now, now.date()) for number in range(5)],
        )
    found: list[str] = []
    cursor = None
    while len(found) < 5:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await staff.get("/api/admin/unmatched-movements/", params=query)).json()
        found += [movement["reference"] for movement in page["results"]]
        cursor = page["next"]
    assert found[:5] == [f"PAGE{number}" for number in (4, 3, 2, 1, 0)]
    wrong = await staff.get("/api/admin/unmatched-movements/", params={"cursor": "WyJ4Il0"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_cursor")
    async with billing.superuser() as connection:
        await connection.execute("delete from unmatched_movements where reference like 'PAGE%'")
