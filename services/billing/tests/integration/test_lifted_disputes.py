"""What remains after each outcome of a dispute, for each dispute by itself, and how finance lifts one that we lost."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, order_body, pay_by_transfer, place
from common.ids import uuid7
from common.testing import eventually

from services.billing.tests.integration.test_disputes import Paid, paid

pytestmark = pytest.mark.integration

SLACK = timedelta(seconds=30)
REASON = {"reason": "settled with the customer"}


async def disputed(mine: Paid) -> str:
    """Let the payer dispute; return the provider's reference once that has suspended."""
    reference = await mine.dispute()

    async def known() -> bool:
        await mine.billing.watch.handle_webhooks()
        return bool(await mine.billing.rows("select 1 from disputes where reference = $1", r=reference))

    await eventually(known, what="the dispute to be known")
    return reference


async def lost(mine: Paid, reference: str | None = None) -> UUID:
    """Lose a dispute, and the money with it; return its id."""
    reference = reference or await disputed(mine)
    await mine.act(f"disputes/{reference}", outcome="RESOLVED_BUYER_FAVOUR")

    async def booked() -> bool:
        await mine.billing.watch.handle_webhooks()
        rows = await mine.billing.rows(
            "select 1 from orders o, disputes d where o.id = $1 and o.status = 'refunded' and d.reference = $2"
            " and d.status = 'lost'",
            id=UUID(mine.order["id"]),
            r=reference,
        )
        return bool(rows)

    await eventually(booked, what="the money to be booked as gone")
    rows = await mine.billing.rows("select id from disputes where reference = $1", r=reference)
    return UUID(str(rows[0]["id"]))


async def lift(mine: Paid, dispute_id: UUID, **who: Any) -> Any:
    staff = mine.billing.client(**({"staff": ["finance"]} | who))
    return await staff.post(f"/api/admin/disputes/{dispute_id}/lift/", json=REASON)


def owner_of(mine: Paid, me: UUID) -> Any:
    return mine.billing.client(user_id=me, tenant_id=mine.tenant_id, roles=["owner"])


async def begins_anew(world: Any, mine: Paid, me: UUID) -> None:
    """Buy again; a dispute about that holds and lets go as if there had been none before."""
    again = await paid(world, owner_of(mine, me))
    assert await mine.subscription() == ("active", None)
    reference = await disputed(again)
    assert await mine.subscription() == ("suspended", "dispute")
    await again.act(f"disputes/{reference}", outcome="RESOLVED_SELLER_FAVOUR")
    await mine.becomes("active", None)


async def periods(mine: Paid) -> list[dict[str, Any]]:
    return await mine.billing.rows(
        "select order_id, starts_at, ends_at from subscription_periods where tenant_id = $1 and replaced_at is null"
        " order by starts_at",
        t=mine.tenant_id,
    )


@pytest.mark.invariant("S90")
@pytest.mark.invariant("S74")
async def test_a_lost_dispute_that_is_lifted_leaves_what_else_is_paid_for(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine, other = await paid(world, billing.client(user_id=me)), await paid(world)
    dispute_id, others = await lost(mine), await lost(other)
    renewal = await place(owner_of(mine, me))
    await pay_by_transfer(billing, owner_of(mine, me), renewal)
    assert await mine.subscription() == ("suspended", "dispute")
    before = await periods(mine)
    answer = await lift(mine, dispute_id)
    assert answer.status_code == 200, answer.text
    assert answer.json()["lifted_at"]
    assert await mine.subscription() == ("active", None)
    first, second = await periods(mine)
    now = billing.clock.now()
    assert abs(first["ends_at"] - now) < SLACK, "what was taken back buys nothing"
    assert str(second["order_id"]) == renewal["id"]
    assert abs(second["starts_at"] - now) < SLACK
    assert second["ends_at"] - second["starts_at"] == before[1]["ends_at"] - before[1]["starts_at"]
    rows = await billing.rows("select ends_at from subscriptions where tenant_id = $1", t=mine.tenant_id)
    assert rows[0]["ends_at"] == second["ends_at"]
    assert len(await mine.facts("subscription.renewed")) == 1
    assert await mine.mails("dispute_lifted") == 1
    rows = await billing.rows(
        "select reason, target from audit_log where tenant_id = $1 and action = 'dispute.lifted'", t=mine.tenant_id
    )
    assert rows == [{"reason": REASON["reason"], "target": str(dispute_id)}]
    again = await lift(mine, dispute_id)
    assert (again.status_code, again.json()["code"]) == (409, "dispute_state")
    assert await other.subscription() == ("suspended", "dispute"), "others' disputes hold on"
    assert (await billing.rows("select lifted_at from disputes where id = $1", d=others))[0]["lifted_at"] is None


@pytest.mark.invariant("S90")
async def test_where_nothing_else_is_paid_for_it_ends_and_may_begin_anew(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    assert (await lift(mine, await lost(mine))).status_code == 200
    assert await mine.subscription() == ("ended", "refunded")
    await begins_anew(world, mine, me)


@pytest.mark.invariant("S90")
async def test_a_lost_dispute_holds_nothing_once_the_subscription_has_ended(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    dispute_id = await lost(mine)
    billing.clock.advance(timedelta(days=31 + 7 + 30 + 1))
    while await billing.calendar.advance(mine.tenant_id):
        pass
    assert (await mine.subscription())[0] == "ended"
    assert (await lift(mine, dispute_id)).status_code == 409
    await begins_anew(world, mine, me)


@pytest.mark.invariant("S90")
async def test_one_that_is_lost_after_the_end_holds_nothing_that_begins_later(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    reference = await disputed(mine)
    billing.clock.advance(timedelta(days=31 + 7 + 30 + 1))
    while await billing.calendar.advance(mine.tenant_id):
        pass
    await lost(mine, reference)
    owner = owner_of(mine, me)
    await pay_by_transfer(billing, owner, await place(owner))
    assert await mine.subscription() == ("active", None)


@pytest.mark.invariant("S75")
@pytest.mark.invariant("S90")
async def test_one_whose_paid_time_is_over_waits_for_payment_without_a_grace(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    dispute_id = await lost(mine)
    billing.clock.advance(timedelta(days=33))
    assert (await lift(mine, dispute_id)).status_code == 200
    assert await mine.subscription() == ("suspended", "unpaid"), "no day is given"
    owner = owner_of(mine, me)
    await pay_by_transfer(billing, owner, await place(owner))
    assert await mine.subscription() == ("active", None)
    (*_, last) = await periods(mine)
    assert abs(last["starts_at"] - billing.clock.now()) < SLACK


@pytest.mark.invariant("S90")
async def test_one_lost_while_it_was_suspended_unpaid_holds_it_when_it_is_paid(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    for days in (32, 8):
        billing.clock.advance(timedelta(days=days))
        await billing.calendar.advance(mine.tenant_id)
    dispute_id, owner = await lost(mine), owner_of(mine, me)
    await pay_by_transfer(billing, owner, await place(owner))
    assert await mine.subscription() == ("suspended", "dispute")
    assert (await lift(mine, dispute_id)).status_code == 200
    assert await mine.subscription() == ("active", None)


@pytest.mark.invariant("S90")
async def test_each_dispute_holds_for_itself_and_the_last_one_lets_go(world: Any) -> None:
    billing, me = world.billing, uuid7()
    first = await paid(world, billing.client(user_id=me))
    second, third = await paid(world, owner_of(first, me)), await paid(world, owner_of(first, me))
    dispute_id, open_one, other = await lost(first), await disputed(second), await disputed(third)
    await third.act(f"disputes/{other}", outcome="RESOLVED_SELLER_FAVOUR")
    await eventually(lambda: _is(third, other, "won"))
    assert await first.subscription() == ("suspended", "dispute"), "an older one was lost"
    assert (await lift(first, dispute_id)).status_code == 200
    assert await first.subscription() == ("suspended", "dispute"), "another one is open"
    refused = await owner_of(first, me).post(ORDERS, json=order_body(plan_id=3))
    assert refused.json()["code"] == "subscription_disputed"
    await second.act(f"disputes/{open_one}", outcome="RESOLVED_SELLER_FAVOUR")
    await first.becomes("active", None)
    assert len(await first.facts("subscription.renewed")) == 3, "two renewals before, and all of it at the end"


async def _is(mine: Paid, reference: str, status: str) -> bool:
    await mine.billing.watch.handle_webhooks()
    rows = await mine.billing.rows("select status from disputes where reference = $1", r=reference)
    return bool(rows and rows[0]["status"] == status)


@pytest.mark.invariant("S90")
async def test_money_that_leaves_after_its_dispute_was_lifted_holds_again(world: Any) -> None:
    mine = await paid(world)
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})
    reference, back = await mine.dispute(), mine.billing.tools.taking_back
    await back.dispute(mine.tenant_id, mine.payment_id, reference)
    await mine.act(f"disputes/{reference}", outcome="RESOLVED_BUYER_FAVOUR")
    await back.dispute(mine.tenant_id, mine.payment_id, reference)
    (row,) = await mine.billing.rows("select id from disputes where payment_id = $1", p=mine.payment_id)
    assert (await lift(mine, row["id"])).status_code == 200
    assert await mine.subscription() == ("active", None)
    for _ in range(2):
        await back.movements(mine.tenant_id, mine.payment_id, reversed_=False)
        assert await mine.subscription() == ("suspended", "dispute")
    (_, reversal) = await mine.billing.rows(
        "select id from disputes where payment_id = $1 order by opened_at", p=mine.payment_id
    )
    assert (await lift(mine, reversal["id"])).status_code == 200
    assert await mine.subscription() == ("ended", "refunded")


@pytest.mark.invariant("S90")
async def test_a_reversal_after_a_dispute_was_won_suspends_all_the_same(world: Any) -> None:
    mine = await paid(world)
    reference = await disputed(mine)
    await mine.act(f"disputes/{reference}", outcome="RESOLVED_SELLER_FAVOUR")
    await mine.becomes("active", None)
    await mine.act(f"captures/{await mine.capture()}/reverse")
    await mine.becomes("suspended", "dispute")


@pytest.mark.invariant("S90")
async def test_only_finance_lifts_only_what_was_lost_and_not_for_oneself(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    reference = await disputed(mine)
    (row,) = await billing.rows("select id from disputes where reference = $1", r=reference)
    refused = await lift(mine, row["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "dispute_state")
    dispute_id = await lost(mine, reference)
    assert (await lift(mine, uuid7())).status_code == 404
    assert (await lift(mine, dispute_id, staff=["support"])).status_code == 403
    assert (await lift(mine, dispute_id, staff=[], user_id=me, tenant_id=mine.tenant_id)).status_code == 403
    himself = await lift(mine, dispute_id, user_id=me)
    assert (himself.status_code, himself.json()["code"]) == (403, "same_person_lifts")
    path = f"/api/admin/disputes/{dispute_id}/lift/"
    assert (await billing.client(staff=["finance"]).post(path, json={})).status_code == 422
    assert await mine.subscription() == ("suspended", "dispute")


@pytest.mark.invariant("S90")
@pytest.mark.invariant("S74")
async def test_lifted_by_many_at_once_while_a_renewal_is_paid_it_is_lifted_once(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    dispute_id, owner = await lost(mine), owner_of(mine, me)
    renewal = await place(owner)
    answers, _ = await asyncio.gather(
        asyncio.gather(*(lift(mine, dispute_id) for _ in range(50))), pay_by_transfer(billing, owner, renewal)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert await mine.subscription() == ("active", None)
    live = [one for one in await periods(mine) if one["ends_at"] > billing.clock.now()]
    assert [str(one["order_id"]) for one in live] == [renewal["id"]]
    assert abs(live[0]["starts_at"] - billing.clock.now()) < SLACK
    assert await mine.mails("dispute_lifted") == 1


@pytest.mark.invariant("S73")
@pytest.mark.invariant("S90")
async def test_money_that_was_credited_and_then_taken_back_buys_no_running_time(world: Any) -> None:
    """Silver paid by PayPal, replaced by gold with its credit, and then the money of silver is gone."""
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    owner = owner_of(mine, me)
    upgrade = await place(owner, plan_id=3)
    await pay_by_transfer(billing, owner, upgrade)
    credited = upgrade["proration"]["credit_used_minor"]
    assert credited > 49_000
    dispute_id = await lost(mine)
    answer = await lift(mine, dispute_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "dispute_leaves_debt"), answer.text
    assert abs(int(answer.json()["owed"]) - credited) < 1_000
    assert await mine.subscription() == ("suspended", "dispute")
    rows = await billing.rows("select lifted_at from disputes where id = $1", d=dispute_id)
    assert rows == [{"lifted_at": None}]
