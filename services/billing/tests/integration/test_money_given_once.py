"""Unused time that a change of plan has credited is not refunded as well, and what is refunded is credited no more."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from billing.domain.order import SECOND_CLICK
from billing.testing import ORDERS, PAYMENTS, Billing, initiate, order_body, pay_by_transfer, place, subscribed
from common.ids import uuid7
from common.testing import answered

from services.billing.tests.integration.refund_steps import (
    REFUNDS,
    approve,
    ask,
    balances,
    paid_by_paypal,
    record,
    refunded,
)

pytestmark = pytest.mark.integration


class Owner:
    """An organization whose first order was paid by a transfer; ``days`` of its period are over."""

    def __init__(self, billing: Billing) -> None:
        self.billing = billing

    async def buys(self, days: int = 0, **changes: Any) -> "Owner":
        self.client, self.tenant_id = await subscribed(self.billing, **changes)
        self.first = await self.payment()
        self.billing.clock.advance(timedelta(days=days))
        return self

    async def payment(self, order: dict[str, Any] | None = None) -> UUID:
        """Return the completed payment of an order, or the only one."""
        rows = await self.billing.rows(
            "select id, order_id from payments where tenant_id = $1 and status = 'completed' order by id",
            t=self.tenant_id,
        )
        return UUID(str(next(row["id"] for row in rows if order is None or str(row["order_id"]) == order["id"])))

    async def changes(self, **wish: Any) -> dict[str, Any]:
        """Change the plan at once, by a transfer where something is due; return the order."""
        order = await place(self.client, **wish)
        if int(order["total_amount"]):
            await pay_by_transfer(self.billing, self.client, order)
        return order

    async def gives_back(self, payment_id: UUID, **body: Any) -> dict[str, Any]:
        """Refund all that may go back, or ``amount``."""
        refund = await refunded(self.billing, payment_id, **body)
        answer = await record(self.billing, refund, f"VIR-{refund['id']}")
        assert answer.status_code == 200, answer.text
        return refund

    async def credit(self) -> int:
        return -(await balances(self.billing, self.tenant_id)).get("customer_credit XAF", 0)

    async def plan(self) -> str:
        rows = await self.billing.rows(
            "select plan->>'name' as plan from subscriptions where tenant_id = $1", t=self.tenant_id
        )
        return str(rows[0]["plan"])


@pytest.mark.invariant("S73")
async def test_after_an_upgrade_only_what_it_did_not_credit_is_refunded(billing: Billing) -> None:
    mine, other = await Owner(billing).buys(days=10), await Owner(billing).buys()
    credited = int((await mine.changes(plan_id=3))["credit_amount"])
    assert 30_000 < credited < 35_000
    too_much = await ask(billing, mine.first, amount=str(50_000 - credited + 1))
    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund_too_large")
    assert str(50_000 - credited) in too_much.json()["detail"]
    refund = await mine.gives_back(mine.first)
    assert refund["amount"] == str(50_000 - credited)
    assert (await ask(billing, mine.first)).status_code == 409
    assert await mine.plan() == "gold", "its time was replaced already: nothing ends"
    assert (await balances(billing, mine.tenant_id)).get("receivable XAF", 0) == 0
    whole = await ask(billing, other.first)
    assert whole.json()["amount"] == "50000", "another organization's change takes nothing from what he may have back"


@pytest.mark.invariant("S73")
async def test_what_became_his_credit_is_refunded_once_from_there(billing: Billing) -> None:
    mine = await Owner(billing).buys(plan_id=2, billing_cycle="yearly")
    order = await mine.changes(plan_id=3)
    left = order["proration"]["credit_left_minor"]
    assert await mine.credit() == left
    refund = await mine.gives_back(mine.first)
    assert (refund["from_order"], refund["from_credit"]) == (str(500_000 - left - 100_000), str(left))
    assert await mine.credit() == 0
    assert (await ask(billing, mine.first, amount="1")).status_code == 409
    renewal = await place(mine.client, plan_id=3, kind="renewal")
    assert renewal["payment_status"] == "unpaid", "what has left pays nothing"


@pytest.mark.invariant("S73")
async def test_a_surplus_that_went_back_takes_nothing_from_what_became_credit(billing: Billing) -> None:
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer, plan_id=3)
    paid = []
    for _ in range(2):
        started = await initiate(buyer, order, 3)
        answer = await billing.client(staff=["finance"]).post(
            f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json={"approve": True, "amount": "60000"}
        )
        assert answer.status_code == 200, answer.text
        paid.append(UUID(started["payment_id"]))
    mine = Owner(billing)
    mine.tenant_id = await billing.provision(order)
    mine.client = billing.client(user_id=me, tenant_id=mine.tenant_id, roles=["owner"])
    second = await mine.gives_back(paid[1])
    assert (second["from_order"], second["from_credit"]) == ("40000", "20000")
    smaller = await mine.changes(plan_id=1, effective="now")
    assert smaller["proration"]["credit_left_minor"] > 34_900
    assert (await mine.gives_back(paid[0]))["amount"] == "35000"
    assert await mine.credit() == 0


async def test_credit_that_was_spent_is_not_refunded(billing: Billing) -> None:
    mine = await Owner(billing).buys(days=10, plan_id=2, billing_cycle="yearly")
    left = (await mine.changes(plan_id=3))["proration"]["credit_left_minor"]
    for _ in range(left // 100_000):
        assert (await place(mine.client, plan_id=3, kind="renewal"))["status"] == "completed"
        billing.clock.advance(SECOND_CLICK + timedelta(seconds=1))
    rest = left % 100_000
    refund = await mine.gives_back(mine.first)
    assert refund["amount"] == str(rest + 500_000 - left - 100_000)
    assert 90_000 < int(refund["amount"]) < 110_000


@pytest.mark.invariant("S73")
async def test_money_that_is_asked_back_is_not_credited_as_well(billing: Billing) -> None:
    mine = await Owner(billing).buys(days=10)
    asked = (await ask(billing, mine.first, amount="40000")).json()
    order = await place(mine.client, plan_id=3)
    assert 6_000 < int(order["credit_amount"]) < 7_000, "a part of the 10 000 that stay"
    await approve(billing, asked)
    await record(billing, asked, f"VIR-{asked['id']}")
    await pay_by_transfer(billing, mine.client, order)
    assert await mine.plan() == "gold"
    most = await ask(billing, mine.first)
    assert most.json()["amount"] == str(10_000 - int(order["credit_amount"]))


@pytest.mark.invariant("S73")
async def test_a_refund_that_is_asked_for_after_the_order_makes_its_price_void(billing: Billing) -> None:
    mine = await Owner(billing).buys(days=10)
    order = await place(mine.client, plan_id=3)
    started = await initiate(mine.client, order, 3)
    asked = (await ask(billing, mine.first)).json()
    again = await mine.client.post(f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 3})
    assert (again.status_code, again.json()["code"]) == (409, "order_outdated")
    staff = billing.client(staff=["finance"])
    await staff.post(f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json={"approve": True})
    assert await mine.plan() == "silver"
    cases = await billing.rows("select kind from cases where tenant_id = $1", t=mine.tenant_id)
    assert [case["kind"] for case in cases] == ["order_outdated"]
    # He keeps what he paid: it goes back whole, as nothing was given for it.
    back = await mine.gives_back(UUID(started["payment_id"]))
    assert back["amount"] == order["total_amount"]
    await staff.post(f"{REFUNDS}{asked['id']}/reject/", json={"reason": "he stays"})


async def test_a_change_replaces_nothing_that_was_paid_for_since_its_order(billing: Billing) -> None:
    mine = await Owner(billing).buys(days=25)
    change = await place(mine.client, plan_id=3)
    transfer = await initiate(mine.client, change, 3)
    renewal = await place(mine.client, plan_id=2)
    assert renewal["kind"] == "renewal"
    await pay_by_transfer(billing, mine.client, renewal)
    answer = await billing.client(staff=["finance"]).post(
        f"{PAYMENTS}{transfer['payment_id']}/verify_bank_transfer/", json={"approve": True}
    )
    assert answer.status_code == 200
    assert await mine.plan() == "silver"
    replaced = await billing.rows(
        "select 1 from subscription_periods where tenant_id = $1 and replaced_at is not null", t=mine.tenant_id
    )
    assert replaced == [], "a month that he has paid is not taken for nothing"
    cases = await billing.rows("select kind from cases where tenant_id = $1", t=mine.tenant_id)
    assert [case["kind"] for case in cases] == ["order_outdated"]


@pytest.mark.invariant("S73")
async def test_when_all_of_a_change_was_refunded_the_replaced_order_may_be_too(billing: Billing) -> None:
    mine = await Owner(billing).buys(days=10)
    change = await mine.changes(plan_id=3)
    await mine.gives_back(await mine.payment(change))
    refund = await mine.gives_back(mine.first)
    assert refund["amount"] == "50000"
    assert await balances(billing, mine.tenant_id) == {}, "all that came has gone, and no more"


async def test_of_a_chain_of_changes_each_franc_goes_back_once(billing: Billing) -> None:
    mine = await Owner(billing).buys(plan_id=1)
    silver = await mine.changes(plan_id=2)
    second = await mine.payment(silver)
    gold = await mine.changes(plan_id=3)
    third = await mine.payment(gold)
    paid = 25_000 + int(silver["total_amount"]) + int(gold["total_amount"])
    assert [(await ask(billing, payment)).status_code for payment in (second, mine.first)] in ([409, 409], [201, 201])
    rows = await billing.rows(
        "select sum(amount_minor)::bigint as sum from refunds where tenant_id = $1", t=mine.tenant_id
    )
    assert (rows[0]["sum"] or 0) <= 10, "seconds of used time at the most"
    await mine.gives_back(third)
    for payment in (second, mine.first):
        await mine.gives_back(payment)
    gone = await billing.rows(
        "select sum(amount_minor)::bigint as sum from refunds where tenant_id = $1 and status = 'completed'",
        t=mine.tenant_id,
    )
    assert paid - 20 <= gone[0]["sum"] <= paid


@pytest.mark.invariant("S73")
async def test_refunds_and_an_upgrade_at_once_never_give_more_than_was_paid(billing: Billing) -> None:
    won = set()
    for _ in range(5):
        mine = await Owner(billing).buys(days=10)
        order = await place(mine.client, plan_id=3)
        started = await initiate(mine.client, order, 3)
        staff = [billing.client(staff=["finance"]) for _ in range(6)]
        path = f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/"
        upgrade = partial(staff[0].post, path, json={"approve": True})
        asks = [partial(ask, billing, mine.first, staff[at % 6], amount="7000") for at in range(49)]
        half = len(asks) // 2
        answers = await asyncio.gather(*map(answered, [*asks[:half], upgrade, *asks[half:]]))
        assert {answer.status_code for answer in answers} <= {200, 201, 409}
        asked = 7_000 * sum(answer.status_code == 201 for answer in answers)
        upgraded = await mine.plan() == "gold"
        credited = int(order["credit_amount"]) if upgraded else 0
        assert asked + credited <= 50_000
        assert upgraded or asked, "one of both has it"
        assert asked > 50_000 - 7_000 - credited, "what may go back is not withheld"
        won.add(upgraded)
    assert won, "each ended one way or the other"


@pytest.mark.invariant("S73")
async def test_a_change_that_does_not_say_whose_time_it_credits_is_not_paid(billing: Billing) -> None:
    mine = await Owner(billing).buys(days=10)
    order = await place(mine.client, plan_id=3)
    old = "jsonb_set(proration, '{unused,0}', (proration #> '{unused,0}') - 'order_id' - 'money_minor')"
    await billing.rows(f"update orders set proration = {old} where id = $1", id=UUID(order["id"]))
    body = {"order_id": order["id"], "payment_method_id": 3}
    refused = await mine.client.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "order_outdated")
    again = await place(mine.client, plan_id=3, customer_name="Entreprise XYZ 2")
    assert again["id"] != order["id"]


@pytest.mark.invariant("S73")
async def test_changes_that_cost_nothing_by_two_owners_at_once_credit_the_time_once(billing: Billing) -> None:
    mine = await Owner(billing).buys(plan_id=3)
    owners = [billing.client(user_id=uuid7(), tenant_id=mine.tenant_id, roles=["owner"]) for _ in range(50)]
    answers = await asyncio.gather(
        *(answered(partial(owner.post, ORDERS, json=order_body(plan_id=1, effective="now"))) for owner in owners)
    )
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {201, 409}
    assert 201 in codes
    periods = await billing.rows(
        "select 1 from subscription_periods where tenant_id = $1 and replaced_at is null", t=mine.tenant_id
    )
    assert len(periods) == 1
    # 100 000 were paid: bronze has 25 000 of them, and each later change only replaced the one before it.
    assert 74_000 <= await mine.credit() <= 75_000
    assert sum((await balances(billing, mine.tenant_id)).values()) == 0


@pytest.mark.invariant("S75")
async def test_a_payer_who_upgrades_and_takes_his_first_money_back_is_suspended(world: Any) -> None:
    billing = world.billing
    me = uuid7()
    _buyer, first, payment_id = await paid_by_paypal(world, billing.client(user_id=me))
    tenant_id = await billing.provision(first)
    owner = billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"])
    order = await place(owner, plan_id=3)
    await pay_by_transfer(billing, owner, order)
    rows = await billing.rows("select receipt_reference from payments where id = $1", id=payment_id)
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})
    await world.http.post(f"{world.paypal.url}/_sim/captures/{rows[0]['receipt_reference']}/reverse", json={})
    said = await billing.tools.taking_back.movements(tenant_id, payment_id, reversed_=True)
    assert said == "1 booked", "the money has left: the ledger says so, whatever was credited"
    standing = await billing.rows("select status, reason from subscriptions where tenant_id = $1", t=tenant_id)
    assert standing == [{"status": "suspended", "reason": "dispute"}]
    cases = await billing.rows("select kind, details from cases where tenant_id = $1", t=tenant_id)
    assert [case["kind"] for case in cases] == ["reversal"]
    assert order["credit_amount"] in cases[0]["details"], "finance sees what was given twice"
    assert (await balances(billing, tenant_id)).get("clearing:paypal EUR", 0) == 0
