"""The calendar of subscriptions on real PostgreSQL: each step once, whoever looks and however often."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, by_momo, order_body, pay_by_transfer, place, subscribed, until_paid
from common.ids import uuid7

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


async def subscription(billing: Billing, tenant_id: UUID) -> dict[str, Any]:
    rows = await billing.rows("select * from subscriptions where tenant_id = $1", t=tenant_id)
    return dict(rows[0])


async def facts(billing: Billing, tenant_id: UUID, prefix: str = "subscription.") -> list[dict[str, Any]]:
    rows = await billing.rows(
        "select envelope from outbox where tenant_id = $1 and type like $2 order by position",
        t=tenant_id,
        p=f"{prefix}%",
    )
    return [json.loads(row["envelope"]) for row in rows]


async def mails(billing: Billing, tenant_id: UUID) -> list[str]:
    rows = await billing.rows("select key from mails where tenant_id = $1 order by created_at", t=tenant_id)
    return [row["key"].split(":")[0] for row in rows]


async def until(billing: Billing, tenant_id: UUID, *, days_after_end: float) -> None:
    """Move the time to so many days after the subscription's end, and take what is due."""
    ends_at = (await subscription(billing, tenant_id))["ends_at"]
    billing.clock.advance(ends_at + days_after_end * DAY - billing.clock.now())
    await billing.calendar.run_due()


async def before_its_end(billing: Billing, tenant_id: UUID, *, days: float) -> None:
    """Move the time to so many days before the subscription's end."""
    ends_at = (await subscription(billing, tenant_id))["ends_at"]
    billing.clock.advance(ends_at - days * DAY - billing.clock.now())


def told(found: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(fact["type"].removeprefix("subscription."), fact["data"].get("days")) for fact in found]


async def test_an_unpaid_subscription_goes_through_every_stage_and_tells_of_each_once(billing: Billing) -> None:
    _owner, tenant_id = await subscribed(billing)
    for days in (-8, -7, -6.5, -3, -1, -0.5, 0, 3, 7.1, 20, 37.2, 66, 67.3, 90.3, 96.3, 97.4, 200):
        await until(billing, tenant_id, days_after_end=days)
    found = await facts(billing, tenant_id)
    assert told(found) == [
        ("renewal_due.v1", 7),
        ("renewal_due.v1", 3),
        ("renewal_due.v1", 1),
        ("past_due.v1", None),
        ("suspended.v1", None),
        ("ended.v1", None),
        ("deletion_due.v1", None),
    ]
    versions = [fact["aggregateversion"] for fact in found]
    assert versions == sorted(set(versions))
    assert [fact["data"]["status"] for fact in found[3:]] == ["past_due", "suspended", "ended", "ended"]
    assert [fact["data"]["reason"] for fact in found[3:]] == ["unpaid"] * 4
    of_purchase = {"order_received", "how_to_pay", "payment_confirmed", "invoice"}
    assert [key for key in await mails(billing, tenant_id) if key not in of_purchase] == [
        "renewal_due",
        "renewal_due",
        "renewal_due",
        "subscription_past_due",
        "deletion_warning",
        "deletion_warning",
        "deletion_warning",
    ]


async def test_the_renewal_is_ordered_ahead_and_paying_it_goes_on_from_the_old_end(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    before = (await subscription(billing, tenant_id))["ends_at"]
    await until(billing, tenant_id, days_after_end=-7)
    await until(billing, tenant_id, days_after_end=-3)
    unpaid = [order for order in (await owner.get(ORDERS)).json()["results"] if order["status"] == "pending"]
    assert [(order["kind"], order["total_amount"]) for order in unpaid] == [("renewal", "50000")]
    (_, due) = await facts(billing, tenant_id)
    assert due["data"]["renewal_order_id"] == unpaid[0]["id"]
    await pay_by_transfer(billing, owner, unpaid[0])
    after = await subscription(billing, tenant_id)
    assert after["ends_at"] > before
    assert after["told_days"] is None
    periods = await billing.rows(
        "select starts_at from subscription_periods where tenant_id = $1 order by starts_at", t=tenant_id
    )
    assert periods[1]["starts_at"] == before
    await billing.calendar.run_due()
    assert (await subscription(billing, tenant_id))["next_step_at"] == after["ends_at"] - 7 * DAY


@pytest.mark.parametrize(("days", "status"), [(1, "past_due"), (8, "suspended"), (40, "ended")])
async def test_a_late_payment_makes_the_subscription_active_again(billing: Billing, days: int, status: str) -> None:
    owner, tenant_id = await subscribed(billing)
    for passing in (0, 7.1, 37.2):
        if passing <= days:
            await until(billing, tenant_id, days_after_end=passing)
    await until(billing, tenant_id, days_after_end=days)
    assert (await subscription(billing, tenant_id))["status"] == status
    order = await place(owner)
    assert order["kind"] == "renewal"
    await pay_by_transfer(billing, owner, order)
    current = await subscription(billing, tenant_id)
    assert (current["status"], current["reason"]) == ("active", None)
    assert current["ends_at"] > billing.clock.now()
    assert (await facts(billing, tenant_id))[-1]["type"] == "subscription.renewed.v1"


async def test_processes_that_look_at_the_same_time_take_each_step_once(billing: Billing) -> None:
    tenants = [(await subscribed(billing))[1] for _ in range(8)]
    await before_its_end(billing, tenants[-1], days=6)
    taken = await asyncio.gather(*(billing.calendar.run_due() for _ in range(50)))
    assert sum(taken) >= len(tenants)
    for tenant_id in tenants:
        assert told(await facts(billing, tenant_id)) == [("renewal_due.v1", 7)]
        renewals = await billing.rows("select id from orders where tenant_id = $1 and kind = 'renewal'", t=tenant_id)
        assert len(renewals) == 1


async def test_a_step_that_was_claimed_by_two_is_taken_by_one(billing: Billing) -> None:
    """Without the claim: what a process does that was paused after it and comes back when its claim is over."""
    _owner, tenant_id = await subscribed(billing)
    await before_its_end(billing, tenant_id, days=6)
    taken = await asyncio.gather(*(billing.calendar.advance(tenant_id) for _ in range(50)))
    assert sum(taken) == 1
    assert len(await facts(billing, tenant_id)) == 1


async def test_a_claim_leaves_each_subscription_to_one_taker(billing: Billing) -> None:
    tenants = {(await subscribed(billing))[1] for _ in range(6)}
    await before_its_end(billing, min(tenants), days=6)

    async def claim() -> list[UUID]:
        async with billing.store.for_system("janitor") as uow:
            return await uow.subscriptions.claim_due(3)

    claimed = [tenant for batch in await asyncio.gather(*(claim() for _ in range(50))) for tenant in batch]
    assert tenants <= set(claimed) | {row async for row in _left(billing)}
    assert len(claimed) == len(set(claimed))


async def _left(billing: Billing) -> Any:
    for row in await billing.rows(
        "select tenant_id from subscriptions where next_step_at <= $1", now=billing.clock.now()
    ):
        yield row["tenant_id"]


async def test_an_error_with_one_subscription_does_not_hold_up_another(billing: Billing) -> None:
    _first, broken = await subscribed(billing)
    _second, sound = await subscribed(billing)
    async with billing.superuser() as connection:
        await connection.execute("update subscriptions set plan = '{}' where tenant_id = $1", broken)
    await before_its_end(billing, sound, days=6)
    await billing.calendar.run_due()
    assert told(await facts(billing, broken)) == []
    assert told(await facts(billing, sound))[0][0] == "renewal_due.v1"
    async with billing.superuser() as connection:
        await connection.execute("update subscriptions set next_step_at = null where tenant_id = $1", broken)


@pytest.mark.invariant("S38")
async def test_a_scheduled_downgrade_that_an_upgrade_replaced_never_comes(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=2)
    ends_at = (await subscription(billing, tenant_id))["ends_at"]
    down = await place(owner, plan_id=1)
    await pay_by_transfer(billing, owner, down)
    up = await place(owner, plan_id=3)
    # Both the rest of the running month and the whole of the paid one to come are credited.
    assert int(up["credit_amount"]) >= 74_990
    await pay_by_transfer(billing, owner, up)
    billing.clock.advance(ends_at + timedelta(seconds=1) - billing.clock.now())
    await billing.calendar.run_due()
    assert json.loads((await subscription(billing, tenant_id))["plan"])["name"] == "gold"
    assert [fact["data"]["plan"]["name"] for fact in await facts(billing, tenant_id, "subscription.plan_changed")] == [
        "gold"
    ]
    assert (await owner.get(f"{ORDERS}{down['id']}/")).json()["status"] == "completed"


async def test_an_unpaid_order_expires_and_gives_its_coupon_back(billing: Billing) -> None:
    buyer = billing.client()
    code = f"EXPIRES-{uuid7().hex[-8:]}"
    made = await billing.client(staff=["finance"]).post(
        "/api/admin/coupons/", json={"code": code, "percent": "10", "max_redemptions": 1, "reason": "a test"}
    )
    assert made.status_code < 300, made.text
    order = await place(buyer, coupon_code=code)
    billing.clock.advance(13 * DAY)
    await billing.calendar.run_due()
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["status"] == "pending"
    billing.clock.advance(2 * DAY)
    taken = await asyncio.gather(*(billing.calendar.run_due() for _ in range(50)))
    assert sum(taken) >= 1
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["status"] == "cancelled"
    again = await place(billing.client(), coupon_code=code)
    assert again["discount_amount"] != "0"


@pytest.mark.invariant("S26")
async def test_money_for_an_expired_order_still_pays_it(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    # This number stays pending at MTN until somebody decides.
    started = await by_momo(buyer, order, "46733123454")
    billing.clock.advance(15 * DAY)
    await billing.calendar.run_due()
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["status"] == "cancelled"
    rows = await billing.rows("select provider_reference from payments where id = $1", id=UUID(started["payment_id"]))
    await world.decide(rows[0]["provider_reference"], "SUCCESSFUL")
    assert (await until_paid(buyer, order))["status"] == "paid"


async def test_a_transfer_that_waits_for_its_approval_keeps_its_order(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 3})
    billing.clock.advance(20 * DAY)
    await billing.calendar.run_due()
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["status"] == "payment_pending"
    await pay_by_transfer(billing, buyer, order)
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["status"] == "paid"


async def uses(billing: Billing, tenant_id: UUID, *, ago: timedelta = timedelta(0), **figures: int) -> None:
    measured_at = (billing.clock.now() - ago).isoformat()
    await billing.told(tenant_id, "usage.recorded", figures | {"measured_at": measured_at}, source="backup-engine")


@pytest.mark.invariant("S38")
async def test_a_downgrade_below_usage_is_scheduled_and_says_what_to_free(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=2)
    _other, other = await subscribed(billing, plan_id=2)
    await uses(billing, other, vms_count=49)
    await uses(billing, tenant_id, vms_count=30, storage_bytes=100_000_000_001, esxi_servers_count=2)
    # An older report that comes late changes nothing.
    await uses(billing, tenant_id, ago=timedelta(hours=1), vms_count=3)
    ends_at = (await subscription(billing, tenant_id))["ends_at"]
    order = await place(owner, plan_id=1)
    free = [
        {"resource": "max_vms", "limit": 10, "current": 30, "to_free": 20},
        {"resource": "max_storage_gb", "limit": 100, "current": 101, "to_free": 1},
    ]
    assert order["over_quota"] == free
    assert datetime.fromisoformat(order["effective_at"]) == ends_at
    await uses(billing, tenant_id, storage_bytes=99)
    assert (await owner.get(f"{ORDERS}{order['id']}/")).json()["over_quota"] == free[:1]
    await pay_by_transfer(billing, owner, order)
    billing.clock.advance(ends_at + timedelta(seconds=1) - billing.clock.now())
    await billing.calendar.run_due()
    told_of = await billing.rows(
        "select body_text from mails where tenant_id = $1 and key like 'plan_too%'", t=tenant_id
    )
    assert "30 / 10" in told_of[0]["body_text"]


@pytest.mark.invariant("S38")
async def test_a_smaller_plan_that_would_begin_at_once_is_refused_below_usage(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing, plan_id=2)
    await uses(billing, tenant_id, esxi_servers_count=4)
    await until(billing, tenant_id, days_after_end=1)
    refused = await owner.post(ORDERS, json=order_body(plan_id=1))
    assert (refused.status_code, refused.json()["code"]) == (409, "downgrade_over_usage")
    assert refused.json()["over_quota"] == [{"resource": "max_esxi_servers", "limit": 2, "current": 4, "to_free": 2}]
    await uses(billing, tenant_id, esxi_servers_count=2)
    await pay_by_transfer(billing, owner, await place(owner, plan_id=1))
    assert json.loads((await subscription(billing, tenant_id))["plan"])["name"] == "bronze"
