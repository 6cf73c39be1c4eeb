"""Renewals and changes of an existing organization: from which day, at which price, for whom."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, by_momo, order_body, place, until_paid
from common.ids import uuid7

pytestmark = pytest.mark.integration


async def owner_of(billing: Billing, **changes: Any) -> tuple[Any, UUID]:
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer, **changes)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    tenant_id = await billing.provision(order)
    return billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"]), tenant_id


async def subscription(billing: Billing, tenant_id: UUID) -> dict[str, Any]:
    row = (await billing.rows("select * from subscriptions where tenant_id = $1", t=tenant_id))[0]
    return row | {"plan": json.loads(row["plan"])}


async def pay(client: Any, order: dict[str, Any]) -> dict[str, Any]:
    await by_momo(client, order)
    return await until_paid(client, order)


@pytest.mark.invariant("S37")
async def test_an_early_renewal_extends_from_the_old_end(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing)
    before = await subscription(billing, tenant_id)
    order = await place(owner)
    assert order["kind"] == "renewal"
    paid = await pay(owner, order)
    assert (paid["success"], paid["status"]) == (True, "completed")
    after = await subscription(billing, tenant_id)
    assert after["ends_at"] > before["ends_at"] + timedelta(days=27)
    periods = await billing.rows(
        "select starts_at, ends_at from subscription_periods where tenant_id = $1 order by starts_at", t=tenant_id
    )
    assert periods[1]["starts_at"] == periods[0]["ends_at"] == before["ends_at"]
    events = await billing.rows("select type from outbox where tenant_id = $1 order by position", t=tenant_id)
    of_an_order = ["order.placed.v1", "invoice.issued.v1", "payment.confirmed.v1"]
    assert [event["type"] for event in events] == [*of_an_order, *of_an_order, "subscription.renewed.v1"]


async def test_an_upgrade_takes_effect_at_once_and_gives_credit_for_what_is_unused(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing, plan_id=1)
    order = await place(owner, plan_id=3)
    assert (order["kind"], order["effective_at"]) == ("change", None)
    assert 24_990 <= int(order["credit_amount"]) <= 25_000
    assert int(order["total_amount"]) == 100_000 - int(order["credit_amount"])
    await pay(owner, order)
    current = await subscription(billing, tenant_id)
    assert current["plan"]["name"] == "gold"
    replaced = await billing.rows(
        "select replaced_at from subscription_periods where tenant_id = $1 order by starts_at", t=tenant_id
    )
    assert replaced[0]["replaced_at"] is not None
    assert replaced[1]["replaced_at"] is None


@pytest.mark.invariant("S38")
async def test_a_downgrade_waits_for_the_end_of_the_paid_period(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing, plan_id=3)
    before = await subscription(billing, tenant_id)
    order = await place(owner, plan_id=1)
    assert datetime.fromisoformat(order["effective_at"]) == before["ends_at"]
    assert order["total_amount"] == "25000"
    paid = await pay(owner, order)
    assert paid["status"] == "processing"
    assert (await subscription(billing, tenant_id))["plan"]["name"] == "gold"
    await billing.calendar.run_due()
    assert (await subscription(billing, tenant_id))["plan"]["name"] == "gold"
    billing.clock.advance(before["ends_at"] - billing.clock.now() + timedelta(seconds=1))
    assert await billing.calendar.run_due() >= 1
    assert (await subscription(billing, tenant_id))["plan"]["name"] == "bronze"
    events = await billing.rows(
        "select count(*) from outbox where tenant_id = $1 and type = 'subscription.plan_changed.v1'", t=tenant_id
    )
    assert events[0]["count"] == 1
    assert (await owner.get(f"{ORDERS}{order['id']}/")).json()["status"] == "completed"


async def test_only_the_owner_orders_for_an_organization(billing: Billing) -> None:
    _owner, tenant_id = await owner_of(billing)
    for role in ("admin", "member", "viewer"):
        member = billing.client(tenant_id=tenant_id, roles=[role])
        answer = await member.post(ORDERS, json=order_body())
        assert (answer.status_code, answer.json()["code"]) == (403, "organization_owner_required")
        assert (await member.post(ORDERS, json=order_body(kind="new"))).status_code == 201


async def test_who_left_the_organization_does_not_pay_its_renewal(billing: Billing) -> None:
    owner, _tenant_id = await owner_of(billing)
    order = await place(owner)
    user = UUID(
        (await billing.rows("select user_id from orders where id = $1", id=UUID(order["id"])))[0]["user_id"].hex
    )
    body = {"payment_method_id": 2, "phone_number": "237670000001"}
    gone = billing.client(user_id=user)
    answer = await gone.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "organization_not_active")
    demoted = billing.client(user_id=user, tenant_id=_tenant_id, roles=["viewer"])
    answer = await demoted.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "organization_owner_required")


async def test_my_other_organization_has_to_be_active_first(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing)
    rows = await billing.rows("select owner_id from organizations where tenant_id = $1", t=tenant_id)
    elsewhere = billing.client(user_id=rows[0]["owner_id"], tenant_id=uuid7(), roles=["owner"])
    answer = await elsewhere.post(ORDERS, json=order_body(organization_id=str(tenant_id)))
    assert (answer.status_code, answer.json()["code"]) == (409, "organization_not_active")
    stranger = await billing.client().post(ORDERS, json=order_body(organization_id=str(tenant_id)))
    assert (stranger.status_code, stranger.json()["code"]) == (404, "organization_not_found")
    assert (await owner.post(ORDERS, json=order_body(organization_id=str(tenant_id)))).status_code == 201


async def test_an_organization_without_subscription_here_has_nothing_to_renew(billing: Billing) -> None:
    owner = billing.client(tenant_id=uuid7(), roles=["owner"])
    answer = await owner.post(ORDERS, json=order_body(kind="renewal"))
    assert (answer.status_code, answer.json()["code"]) == (409, "subscription_missing")


@pytest.mark.invariant("S49")
async def test_older_news_of_an_organization_changes_nothing(billing: Billing) -> None:
    owner, tenant_id = await owner_of(billing)
    await billing.told(tenant_id, "org.suspended", {}, version=5)
    await billing.told(tenant_id, "org.reactivated", {}, version=4)
    listed = (await owner.get(ORDERS)).json()["results"]
    assert listed[0]["organization"]["status"] == "suspended"


async def test_news_before_the_order_is_known_waits(billing: Billing) -> None:
    tenant_id = uuid7()
    await billing.told(
        tenant_id,
        "org.provisioned",
        {"id": str(tenant_id), "name": "X", "slug": "x", "status": "active", "owner": str(uuid7())},
    )
    rows = await billing.rows("select status, reason from inbox where tenant_id = $1", t=tenant_id)
    assert rows[0]["status"] == "pending"
    assert rows[0]["reason"].startswith("NotYet")
    async with billing.superuser() as connection:
        await connection.execute("delete from inbox where tenant_id = $1", tenant_id)
