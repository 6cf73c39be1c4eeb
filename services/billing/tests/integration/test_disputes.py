"""Money that leaves us without our asking: disputes, reversals, refunds made in PayPal's own back office."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import (
    ORDERS,
    PAYMENTS,
    Billing,
    by_paypal,
    initiate,
    order_body,
    pay_by_transfer,
    place,
    until_paid,
)
from common.ids import uuid7
from common.testing import eventually

pytestmark = pytest.mark.integration


class Paid:
    """An order that its buyer has paid by PayPal, its organization made."""

    def __init__(self, world: Any, order: dict[str, Any], payment_id: UUID, tenant_id: UUID) -> None:
        self.world, self.order, self.payment_id, self.tenant_id = world, order, payment_id, tenant_id
        self.billing: Billing = world.billing

    async def capture(self) -> str:
        rows = await self.billing.rows("select receipt_reference from payments where id = $1", id=self.payment_id)
        return str(rows[0]["receipt_reference"])

    async def act(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.world.http.post(f"{self.world.paypal.url}/_sim/{path}", json=body)
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    async def dispute(self) -> str:
        return str((await self.act(f"captures/{await self.capture()}/dispute"))["dispute_id"])

    async def subscription(self) -> tuple[str, str | None]:
        rows = await self.billing.rows(
            "select status, reason from subscriptions where tenant_id = $1", t=self.tenant_id
        )
        return rows[0]["status"], rows[0]["reason"]

    async def becomes(self, *wanted: str | None) -> None:
        async def so() -> bool:
            await self.billing.watch.handle_webhooks()
            return await self.subscription() == wanted

        await eventually(so, what=f"the subscription to be {wanted}")

    async def facts(self, name: str) -> list[str]:
        rows = await self.billing.rows(
            "select envelope->'data'->>'status' as status from outbox where tenant_id = $1 and type = $2 order by position",
            t=self.tenant_id,
            n=f"{name}.v1",
        )
        return [row["status"] for row in rows]

    async def cases(self) -> list[str]:
        rows = await self.billing.rows("select kind from cases where payment_id = $1 order by kind", id=self.payment_id)
        return [row["kind"] for row in rows]

    async def mails(self, name: str) -> int:
        return len(
            await self.billing.rows(
                "select 1 from mails where tenant_id = $1 and key like $2", t=self.tenant_id, k=f"{name}:%"
            )
        )


async def paid(world: Any, buyer: Any = None) -> Paid:
    buyer = buyer or world.billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    world.billing.clock.advance(timedelta(seconds=5))
    await until_paid(buyer, order)
    tenant_id = await world.billing.provision(order)
    return Paid(world, order, UUID(started["payment_id"]), tenant_id)


async def test_a_dispute_suspends_with_notice_and_one_that_we_win_lifts_it(world: Any) -> None:
    mine, other = await paid(world), await paid(world)
    reference = await mine.dispute()
    await mine.becomes("suspended", "dispute")
    assert await mine.facts("payment.disputed") == ["open"]
    assert await mine.facts("subscription.suspended") == ["suspended"]
    assert (await mine.cases(), await mine.mails("payment_disputed")) == (["dispute"], 1)
    assert await other.subscription() == ("active", None)
    await mine.act(f"disputes/{reference}", outcome="RESOLVED_SELLER_FAVOUR")
    await mine.becomes("active", None)
    assert await mine.facts("payment.disputed") == ["open", "won"]
    assert len(await mine.facts("subscription.renewed")) == 1
    assert await mine.mails("dispute_won") == 1


async def test_a_lost_dispute_stays_suspended_and_the_money_is_booked_once(world: Any) -> None:
    mine, other = await paid(world), await paid(world)
    reference = await mine.dispute()
    await mine.becomes("suspended", "dispute")
    await mine.act(f"disputes/{reference}", outcome="RESOLVED_BUYER_FAVOUR")

    async def booked() -> bool:
        await mine.billing.watch.handle_webhooks()
        rows = await mine.billing.rows("select status from orders where id = $1", id=UUID(mine.order["id"]))
        return bool(rows[0]["status"] == "refunded")

    await eventually(booked)
    assert await mine.subscription() == ("suspended", "dispute")
    mine.billing.clock.advance(timedelta(days=1))
    await mine.billing.tools.taking_back.follow_due()
    assert await mine.mails("dispute_lost") == 1, "however often it is read"
    assert (await other.mails("dispute_lost"), await other.subscription()) == (0, ("active", None))
    rows = await mine.billing.rows("select status from disputes where payment_id = $1", id=mine.payment_id)
    assert [row["status"] for row in rows] == ["lost"]
    rows = await mine.billing.rows("select channel, status from refunds where payment_id = $1", id=mine.payment_id)
    assert rows == [{"channel": "elsewhere", "status": "completed"}]
    balances = await mine.billing.rows(
        "select 1 from ledger_postings where tenant_id = $1 group by account, currency having sum(amount_minor) <> 0",
        t=mine.tenant_id,
    )
    assert balances == []


@pytest.mark.invariant("S75")
async def test_what_is_paid_while_a_dispute_is_open_lifts_no_suspension(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine, other = await paid(world, billing.client(user_id=me)), await paid(world)
    reference = await mine.dispute()
    await mine.becomes("suspended", "dispute")
    owner = billing.client(user_id=me, tenant_id=mine.tenant_id, roles=["owner"])
    renewal = await place(owner)
    before = await billing.rows("select ends_at from subscriptions where tenant_id = $1", t=mine.tenant_id)
    await pay_by_transfer(billing, owner, renewal)
    assert (await owner.get(f"{ORDERS}{renewal['id']}/")).json()["payment_status"] == "paid"
    assert await mine.subscription() == ("suspended", "dispute")
    after = await billing.rows("select ends_at from subscriptions where tenant_id = $1", t=mine.tenant_id)
    assert after[0]["ends_at"] > before[0]["ends_at"] + timedelta(days=27), "what he has paid is his all the same"
    assert await mine.facts("subscription.renewed") == [], "tenancy would let him in"
    assert await mine.facts("subscription.suspended") == ["suspended", "suspended"]
    assert await mine.mails("paid_while_disputed") == 1
    told = await billing.rows(
        "select kind, reference from cases where tenant_id = $1 and kind = 'paid_while_disputed'", t=mine.tenant_id
    )
    assert told == [{"kind": "paid_while_disputed", "reference": renewal["id"]}]
    assert await other.subscription() == ("active", None)
    await mine.act(f"disputes/{reference}", outcome="RESOLVED_SELLER_FAVOUR")
    await mine.becomes("active", None)
    assert len(await mine.facts("subscription.renewed")) == 1, "and then all that he has paid for is told"


@pytest.mark.invariant("S75")
async def test_credit_and_money_taken_back_lift_no_suspension_either(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    owner = billing.client(user_id=me, tenant_id=mine.tenant_id, roles=["owner"])
    ahead = await place(owner)
    started = await initiate(owner, ahead, 3)
    await mine.act(f"captures/{await mine.capture()}/reverse")
    await mine.becomes("suspended", "dispute")
    answer = await billing.client(staff=["finance"]).post(
        f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json={"approve": True, "amount": "100000"}
    )
    assert answer.status_code == 200
    assert await mine.subscription() == ("suspended", "dispute")
    by_credit = await place(owner, customer_name="Again")
    assert by_credit["payment_status"] == "paid"
    assert await mine.subscription() == ("suspended", "dispute")
    assert await mine.mails("paid_while_disputed") == 2


async def test_one_that_was_suspended_unpaid_is_held_by_a_dispute_when_it_is_paid(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    for days in (32, 8):
        billing.clock.advance(timedelta(days=days))
        await billing.calendar.advance(mine.tenant_id)
    assert await mine.subscription() == ("suspended", "unpaid")
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})
    await billing.tools.taking_back.dispute(mine.tenant_id, mine.payment_id, await mine.dispute())
    owner = billing.client(user_id=me, tenant_id=mine.tenant_id, roles=["owner"])
    await pay_by_transfer(billing, owner, await place(owner))
    assert await mine.subscription() == ("suspended", "dispute")


async def test_the_plan_of_a_disputed_subscription_is_not_changed(world: Any) -> None:
    billing, me = world.billing, uuid7()
    mine = await paid(world, billing.client(user_id=me))
    owner = billing.client(user_id=me, tenant_id=mine.tenant_id, roles=["owner"])
    placed = await place(owner, plan_id=3)
    started = await initiate(owner, placed, 3)
    await mine.dispute()
    await mine.becomes("suspended", "dispute")
    refused = await owner.post(ORDERS, json=order_body(plan_id=3, customer_name="B"))
    assert (refused.status_code, refused.json()["code"]) == (409, "subscription_disputed")
    await billing.client(staff=["finance"]).post(
        f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json={"approve": True}
    )
    rows = await billing.rows("select plan->>'name' as plan from subscriptions where tenant_id = $1", t=mine.tenant_id)
    assert rows[0]["plan"] == "silver", "the time that it would credit is disputed"
    assert await mine.subscription() == ("suspended", "dispute")


async def test_a_reversal_suspends_and_does_not_end(world: Any) -> None:
    mine = await paid(world)
    await mine.act(f"captures/{await mine.capture()}/reverse")
    await mine.becomes("suspended", "dispute")
    assert await mine.cases() == ["reversal"]
    assert await mine.facts("payment.disputed") == ["lost"]
    rows = await mine.billing.rows("select status from orders where id = $1", id=UUID(mine.order["id"]))
    assert rows[0]["status"] == "refunded"
    told = await mine.billing.rows("select key, attachment from mails where tenant_id = $1", t=mine.tenant_id)
    about = [(mail["key"].partition(":")[0], mail["attachment"]) for mail in told]
    notes = await mine.billing.rows("select id, reason from credit_notes where tenant_id = $1", t=mine.tenant_id)
    assert ("payment_taken_back", f"credit_note:{notes[0]['id']}") in about
    assert "refund_sent" not in dict(about), "we have sent nothing"
    assert notes[0]["reason"] in {"Payment taken back by its provider", "Paiement repris par son fournisseur"}


@pytest.mark.invariant("S22")
async def test_the_same_news_of_a_dispute_or_reversal_many_times_at_once_is_taken_once(world: Any) -> None:
    mine = await paid(world)
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})
    reference = await mine.dispute()
    await mine.act(f"captures/{await mine.capture()}/reverse")
    back = mine.billing.tools.taking_back
    await asyncio.gather(
        *(back.dispute(mine.tenant_id, mine.payment_id, reference) for _ in range(30)),
        *(back.movements(mine.tenant_id, mine.payment_id, reversed_=True) for _ in range(30)),
    )
    assert await mine.subscription() == ("suspended", "dispute")
    assert len(await mine.facts("subscription.suspended")) == 1
    assert len(await mine.facts("payment.refunded")) == 1
    rows = await mine.billing.rows("select 1 from credit_notes where tenant_id = $1", t=mine.tenant_id)
    assert len(rows) == 1


async def test_a_refund_made_at_paypal_is_booked_and_ends_the_period_as_one_of_ours(world: Any) -> None:
    mine = await paid(world)
    store = world.paypal.paypal.store
    store.refund(store.captures[await mine.capture()][1], {}, None)
    await mine.becomes("ended", "refunded")
    assert await mine.cases() == ["refund_seen"]
    rows = await mine.billing.rows(
        "select channel, requested_by from refunds where payment_id = $1", id=mine.payment_id
    )
    assert rows == [{"channel": "elsewhere", "requested_by": None}]


async def test_the_webhook_of_our_own_refund_books_it_no_second_time(world: Any) -> None:
    mine = await paid(world)
    staff, checker = mine.billing.client(staff=["finance"]), mine.billing.client(staff=["finance"])
    asked = await staff.post(
        f"/api/admin/payments/{mine.payment_id}/refunds/", json={"reason": "goodwill", "amount": "10.00"}
    )
    await checker.post(f"/api/admin/refunds/{asked.json()['id']}/approve/", json={"reason": "fine"})

    async def handled() -> bool:
        await mine.billing.watch.handle_webhooks()
        rows = await mine.billing.rows(
            "select outcome from webhook_events where event_type = 'PAYMENT.CAPTURE.REFUNDED'"
            " and position($1 in convert_from(body, 'UTF8')) > 0",
            r=asked.json()["id"],
        )
        return bool(rows and rows[0]["outcome"] == "0 booked")

    await eventually(handled)
    rows = await mine.billing.rows("select 1 from refunds where payment_id = $1", id=mine.payment_id)
    assert len(rows) == 1
    assert await mine.cases() == []


async def test_a_dispute_whose_webhooks_were_lost_is_followed_by_the_janitor(world: Any) -> None:
    mine = await paid(world)
    reference = await mine.dispute()
    await mine.becomes("suspended", "dispute")
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})
    await mine.act(f"disputes/{reference}", outcome="CANCELED_BY_BUYER")
    mine.billing.clock.advance(timedelta(hours=7))
    await mine.billing.tools.taking_back.follow_due()
    assert await mine.subscription() == ("active", None)


async def test_while_another_dispute_is_open_a_won_one_lifts_nothing(world: Any) -> None:
    me = uuid7()
    first = await paid(world, world.billing.client(user_id=me))
    owner = world.billing.client(user_id=me, tenant_id=first.tenant_id)
    second = await paid(world, owner)
    references = [await each.dispute() for each in (first, second)]

    async def both() -> bool:
        await world.billing.watch.handle_webhooks()
        rows = await world.billing.rows("select 1 from disputes where tenant_id = $1", t=first.tenant_id)
        return len(rows) == 2

    await eventually(both)
    back = world.billing.tools.taking_back
    await first.act(f"disputes/{references[0]}", outcome="RESOLVED_SELLER_FAVOUR")
    await back.dispute(first.tenant_id, first.payment_id, references[0])
    assert await first.subscription() == ("suspended", "dispute")
    await second.act(f"disputes/{references[1]}", outcome="RESOLVED_SELLER_FAVOUR")
    await back.dispute(second.tenant_id, second.payment_id, references[1])
    assert await first.subscription() == ("active", None)


async def test_a_dispute_about_another_payment_changes_nothing(world: Any) -> None:
    mine, other = await paid(world), await paid(world)
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})
    reference = await other.dispute()
    said = await mine.billing.tools.taking_back.dispute(mine.tenant_id, mine.payment_id, reference)
    assert (said, await mine.subscription()) == ("dispute known", ("active", None))
    assert (
        await mine.billing.tools.taking_back.dispute(mine.tenant_id, mine.payment_id, "PP-D-NONE") == "no such dispute"
    )


async def test_news_that_cannot_be_read_now_is_handled_later(world: Any) -> None:
    mine = await paid(world)
    await world.faults(world.paypal, {"match": {"path": "/v1/customer/disputes/*"}, "status": 503})
    reference = await mine.dispute()

    async def tried() -> bool:
        await mine.billing.watch.handle_webhooks()
        rows = await mine.billing.rows(
            "select handled_at, attempts from webhook_events where position($1 in convert_from(body, 'UTF8')) > 0",
            r=reference,
        )
        return bool(rows and rows[0]["attempts"] and rows[0]["handled_at"] is None)

    await eventually(tried)
    assert await mine.subscription() == ("active", None)
    await world.faults(world.paypal)
    mine.billing.clock.advance(timedelta(minutes=1))
    await mine.becomes("suspended", "dispute")
