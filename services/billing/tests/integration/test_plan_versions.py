"""Changing what is sold: versions for those who buy next, and nothing for those who bought."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, by_momo, initiate, order_body, place, until_paid
from common.ids import uuid7

pytestmark = pytest.mark.integration

PLAN = "/api/admin/plans/2/"
USUAL = {
    "prices": [
        {"billing_cycle": "monthly", "currency": "XAF", "amount": "50000"},
        {"billing_cycle": "yearly", "currency": "XAF", "amount": "500000"},
    ],
    "quotas": {"max_vms": 50},
    "trial_days": 0,
    "is_active": True,
    "reason": "back to the guide's",
}
DEARER = {"prices": [{"billing_cycle": "monthly", "currency": "XAF", "amount": "70000"}], "reason": "dearer power"}


@pytest.fixture
async def finance(billing: Billing) -> AsyncIterator[Any]:
    """A person of finance; afterwards the plan is as the other tests know it."""
    client = billing.client(staff=["finance"])
    yield client
    assert (await client.patch(PLAN, json=USUAL)).status_code == 200


async def changed(finance: Any, **change: Any) -> dict[str, Any]:
    answer = await finance.patch(PLAN, json={"reason": "a test of versions"} | change)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def bought(billing: Billing) -> tuple[dict[str, Any], Any]:
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    tenant_id = await billing.provision(order)
    return order, billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])


@pytest.mark.invariant("S16")
async def test_a_new_price_is_for_new_orders_and_an_open_order_keeps_its_own(billing: Billing, finance: Any) -> None:
    buyer = billing.client()
    before = await place(buyer)
    assert (await changed(finance, **DEARER))["monthly_price"] == "70000"
    open_order = (await buyer.get(f"{ORDERS}{before['id']}/")).json()
    assert (before["total_amount"], open_order["total_amount"]) == ("50000", "50000")
    assert (await initiate(buyer, before, 3))["bank_details"]["amount"] == "50000"
    assert (await place(billing.client()))["total_amount"] == "70000"


@pytest.mark.invariant("S16")
async def test_who_bought_keeps_and_renews_his_terms_until_they_are_said_to_end(billing: Billing, finance: Any) -> None:
    order, owner = await bought(billing)
    await changed(finance, quotas={"max_vms": 10}, **DEARER)
    rows = "select plan from subscriptions where tenant_id = (select tenant_id from orders where id = $1)"
    held = (await billing.rows(rows, id=UUID(order["id"])))[0]["plan"]
    assert '"max_vms": 50' in held
    renewal = await place(owner)
    assert (renewal["kind"], renewal["total_amount"]) == ("renewal", "50000")
    await owner.post(f"{ORDERS}{renewal['id']}/cancel/")
    await changed(finance, also_renewals=True)
    renewal = await place(owner, customer_name="Entreprise XYZ 2")
    assert (renewal["kind"], renewal["total_amount"]) == ("renewal", "70000")


@pytest.mark.invariant("S38")
async def test_a_smaller_plan_waits_where_the_former_is_sold_no_more(billing: Billing, finance: Any) -> None:
    _order, owner = await bought(billing)
    await changed(finance, is_active=False)
    smaller = await place(owner, plan_id=1)
    assert smaller["effective_at"] is not None
    assert smaller["credit_amount"] == "0"


async def test_seeding_leaves_alone_what_staff_changed(billing: Billing, finance: Any) -> None:
    await changed(finance, **DEARER)
    for _ in range(2):
        await billing.seed()
    plan = (await billing.client(anonymous=True).get("/api/tenants/plans/2/")).json()
    assert plan["monthly_price"] == "70000"
    assert plan["max_vms"] == 50


async def test_versions_are_told_with_who_made_them_and_never_change(billing: Billing, finance: Any) -> None:
    await changed(finance, trial_days=3)
    await changed(finance, trial_days=4)
    told = (await finance.get(f"{PLAN}versions/")).json()["results"]
    assert [version["terms"]["trial_days"] for version in told[:2]] == [4, 3]
    assert told[0]["version"] == told[1]["version"] + 1
    assert (told[-1]["version"], told[-1]["changed_by"]) == (1, None)
    async with billing.superuser() as connection:
        with pytest.raises(Exception, match="never change"):
            await connection.execute("update plan_versions set reason = 'x'")


async def test_changes_at_a_time_each_make_a_version_and_lose_nothing(billing: Billing, finance: Any) -> None:
    before = (await finance.get(f"{PLAN}versions/")).json()["results"][0]["version"]
    prices = [[{"billing_cycle": "monthly", "currency": "USD", "amount": f"{n}.00"}] for n in range(100, 150)]
    people = [billing.client(staff=["admin"]) for _ in prices]
    answers = await asyncio.gather(*(changed(who, prices=price) for who, price in zip(people, prices, strict=True)))
    assert len(answers) == 50
    told = (await finance.get(f"{PLAN}versions/")).json()["results"]
    assert [version["version"] for version in told[:50]] == list(range(before + 50, before, -1))
    await changed(finance, prices=[{"billing_cycle": "monthly", "currency": "USD", "amount": "90.00"}])


async def test_trial_days_come_free_before_the_first_paid_period(billing: Billing, finance: Any) -> None:
    await changed(finance, trial_days=14)
    order, owner = await bought(billing)
    rows = "select starts_at, ends_at, anchor_day from subscription_periods where order_id = $1"
    (period,) = await billing.rows(rows, id=UUID(order["id"]))
    free = (period["ends_at"] - period["starts_at"]).days
    assert 14 + 28 <= free <= 14 + 31
    assert order["total_amount"] == "50000"
    renewal = await place(owner)
    await by_momo(owner, renewal)
    await until_paid(owner, renewal)
    (following,) = await billing.rows(rows, id=UUID(renewal["id"]))
    assert following["starts_at"] == period["ends_at"]
    assert 28 <= (following["ends_at"] - following["starts_at"]).days <= 31
    assert following["starts_at"] > datetime.now(UTC)


async def test_a_plan_taken_off_sale_is_not_ordered(billing: Billing, finance: Any) -> None:
    await changed(finance, is_active=False)
    answer = await billing.client().post(ORDERS, json=order_body())
    assert (answer.status_code, answer.json()["code"]) == (404, "plan_not_found")


@pytest.mark.parametrize(
    "wrong",
    [
        {"prices": [{"billing_cycle": "monthly", "currency": "XAF", "amount": "50000.5"}]},
        {"prices": [{"billing_cycle": "monthly", "currency": "XAF", "amount": "0"}]},
        {"prices": [{"billing_cycle": "monthly", "currency": "XAF", "amount": "-1"}]},
        {"prices": [{"billing_cycle": "monthly", "currency": "JPY", "amount": "1"}]},
        {"quotas": {"max_cats": 1}},
        {"quotas": {"max_vms": True}},
        {"trial_days": 400},
        {"trial_days": "3"},
        {"name": "x"},
    ],
)
async def test_what_is_no_change_is_refused(billing: Billing, wrong: dict[str, Any]) -> None:
    answer = await billing.client(staff=["finance"]).patch(PLAN, json={"reason": "an attempt"} | wrong)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("who", [{}, {"staff": ["support"]}])
async def test_only_finance_changes_plans(billing: Billing, who: dict[str, Any]) -> None:
    client = billing.client(**who)
    assert (await client.patch(PLAN, json=DEARER)).status_code == 403
    assert (await client.get(f"{PLAN}versions/")).status_code == 403
