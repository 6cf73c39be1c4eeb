"""Surplus, late and double payments: kept as credit, shown to a person, used by the next order, never a second period."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from billing.domain.order import CHANGE_HOLDS, SECOND_CLICK
from billing.domain.payment import SECOND_TAP
from billing.testing import ORDERS, PAYMENTS, Billing, initiate, order_body, place, until_paid, verify
from common.ids import uuid7

pytestmark = pytest.mark.integration


async def paid_order(billing: Billing, buyer: Any, order: dict[str, Any]) -> dict[str, Any]:
    """Return the order, paid by a transfer."""
    started = await initiate(buyer, order, 3)
    path = f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/"
    answer = await billing.client(staff=["finance"]).post(path, json={"approve": True})
    assert answer.status_code == 200, answer.text
    return order


class Customer:
    """An owner whose first order was paid by a transfer of ``amount``."""

    def __init__(self, billing: Billing) -> None:
        self.billing = billing
        self.me = uuid7()

    async def pays(self, amount: str) -> "Customer":
        buyer = self.billing.client(user_id=self.me)
        self.first = await place(buyer)
        await self.transfer(buyer, self.first, amount)
        self.tenant_id = await self.billing.provision(self.first)
        self.owner = self.billing.client(user_id=self.me, tenant_id=self.tenant_id)
        return self

    async def transfer(self, client: Any, order: dict[str, Any], amount: str | None = None) -> str:
        started = await initiate(client, order, 3)
        body = {"approve": True} | ({"amount": amount} if amount else {})
        answer = await self.billing.client(staff=["finance"]).post(
            f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json=body
        )
        assert answer.status_code == 200, answer.text
        return str(started["bank_details"]["amount"])

    async def credit(self) -> list[str]:
        async with self.billing.store.for_tenant(self.tenant_id) as uow:
            return [str(-of) for of in await uow.ledger.balances("customer_credit")]

    async def periods(self) -> int:
        rows = await self.billing.rows("select 1 from subscription_periods where tenant_id = $1", t=self.tenant_id)
        return len(rows)

    async def order(self, order: dict[str, Any]) -> tuple[str, str]:
        found = (await self.owner.get(f"{ORDERS}{order['id']}/")).json()
        return found["status"], found["payment_status"]


@pytest.mark.invariant("S24")
async def test_a_surplus_lowers_what_the_next_order_asks_for_and_is_used_up_by_it(billing: Billing) -> None:
    customer = await Customer(billing).pays("60000")
    assert await customer.credit() == ["10000 XAF"]
    cases = await billing.rows("select kind from cases where tenant_id = $1", t=customer.tenant_id)
    assert [case["kind"] for case in cases] == ["surplus"]
    renewal = await place(customer.owner)
    assert await customer.order(renewal) == ("pending", "unpaid")
    assert await customer.transfer(customer.owner, renewal) == "40000"
    assert await customer.order(renewal) == ("completed", "paid")
    assert await customer.credit() == ["0 XAF"]
    assert await customer.periods() == 2
    invoices = await billing.rows("select total_minor from invoices where tenant_id = $1", t=customer.tenant_id)
    assert [row["total_minor"] for row in invoices] == [50000, 50000]
    async with billing.store.for_tenant(customer.tenant_id) as uow:
        assert [str(of) for of in await uow.ledger.balances("receivable")] == ["0 XAF"]


async def test_an_order_that_was_overtaken_spends_no_credit_when_its_money_comes(billing: Billing) -> None:
    customer = await Customer(billing).pays("60000")
    upgrade = await place(customer.owner, plan_id=3)
    started = await initiate(customer.owner, upgrade, 3)
    assert int(started["bank_details"]["amount"]) == int(upgrade["total_amount"]) - 10_000
    billing.clock.advance(CHANGE_HOLDS + timedelta(hours=1))
    answer = await billing.client(staff=["finance"]).post(
        f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json={"approve": True}
    )
    assert answer.status_code == 200, answer.text
    assert (await customer.order(upgrade))[0] == "payment_pending"
    assert await customer.credit() == ["10000 XAF"]
    assert await customer.periods() == 1
    cases = await billing.rows("select kind from cases where tenant_id = $1 order by kind", t=customer.tenant_id)
    assert [case["kind"] for case in cases] == ["order_outdated", "surplus"]


async def test_credit_that_covers_an_order_pays_it_when_it_is_placed(billing: Billing) -> None:
    customer = await Customer(billing).pays("100000")
    renewal = await place(customer.owner)
    assert (renewal["status"], renewal["payment_status"]) == ("completed", "paid")
    assert (await customer.credit(), await customer.periods()) == (["0 XAF"], 2)
    billing.clock.advance(SECOND_CLICK + timedelta(seconds=1))
    again = await place(customer.owner)
    assert again["payment_status"] == "unpaid"


@pytest.mark.parametrize("others", [pytest.param(1, id="clicked-twice"), pytest.param(50, id="fifty-at-once")])
async def test_a_change_that_costs_nothing_is_one_change_however_often_it_is_clicked(
    billing: Billing, others: int
) -> None:
    me = uuid7()
    buyer = billing.client(user_id=me)
    first = await place(buyer, plan_id=3)
    tenant_id = await billing.provision(await paid_order(billing, buyer, first))
    owner = billing.client(user_id=me, tenant_id=tenant_id)
    change = partial(owner.post, ORDERS, json=order_body(plan_id=1, effective="now"))
    clicked = [await change()] if others == 1 else []
    clicked += await asyncio.gather(*(change() for _ in range(others)))
    assert {(answer.status_code, answer.json()["kind"]) for answer in clicked} == {(201, "change")}
    assert len({answer.json()["id"] for answer in clicked}) == 1
    count = "select count(*) as n from subscription_periods where tenant_id = $1 and replaced_at is null"
    assert (await billing.rows(count, t=tenant_id))[0]["n"] == 1, "no renewal was bought of what is left"
    meant = await owner.post(ORDERS, json=order_body(plan_id=1, effective="now"), headers={"Idempotency-Key": "more"})
    assert meant.json()["kind"] == "renewal", "who says that it is another wish is believed"


async def test_credit_that_came_after_an_order_pays_it_when_a_payment_is_begun(billing: Billing) -> None:
    customer = await Customer(billing).pays("50000")
    one, two = [await place(customer.owner, customer_name=name) for name in ("A", "B")]
    begun = await initiate(customer.owner, two, 3)
    one = await place(customer.owner, customer_name="A again")
    path = f"{PAYMENTS}{begun['payment_id']}/verify_bank_transfer/"
    await billing.client(staff=["finance"]).post(path, json={"approve": True, "amount": "100000"})
    assert await customer.order(one) == ("pending", "unpaid"), "nothing is bought before he wants to pay it"
    for _ in range(2):  # the second is the same request again, whose first answer was lost
        answer = await customer.owner.post(
            f"{ORDERS}{one['id']}/initiate_payment/",
            json={"payment_method_id": 3},
            headers={"Idempotency-Key": "one-intention"},
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "order_paid_by_credit")
    assert (await verify(customer.owner, one))["payment_status"] == "paid"
    assert (await customer.credit(), await customer.periods()) == (["0 XAF"], 3)
    assert await billing.rows("select 1 from payments where order_id = $1", o=UUID(one["id"])) == []


async def test_credit_is_never_spent_twice_by_orders_that_are_paid_at_once(billing: Billing) -> None:
    customer = await Customer(billing).pays("60000")
    orders = []
    for at in range(50):
        order = await place(customer.owner, customer_name=f"Entreprise {at}")
        orders.append((order, await initiate(customer.owner, order, 3)))
    asked = {started["bank_details"]["amount"] for _, started in orders}
    assert asked == {"40000"}
    staff = [billing.client(staff=["finance"]) for _ in orders]
    answers = await asyncio.gather(
        *(
            person.post(f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json={"approve": True})
            for person, (_, started) in zip(staff, orders, strict=True)
        )
    )
    assert {answer.status_code for answer in answers} == {200}
    states = sorted([await customer.order(order) for order, _ in orders])
    assert [state[1] for state in states] == ["paid"] + ["pending"] * 49
    assert await customer.credit() == ["0 XAF"]
    assert await customer.periods() == 2


async def test_two_double_payments_bring_no_second_period_and_pay_the_renewal(world: Any) -> None:
    billing = world.billing
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer)
    attempts = []
    for _ in range(2):
        attempts.append(await initiate(buyer, order, 2, phone_number="46733123454"))
        billing.clock.advance(SECOND_TAP)
    rows = await billing.rows("select provider_reference from payments where order_id = $1", id=UUID(order["id"]))
    for row in rows:
        await world.decide(row["provider_reference"], "SUCCESSFUL")
    await until_paid(buyer, order)
    tenant_id = await billing.provision(order)
    for attempt in attempts:
        await billing.checkout.ask(tenant_id, UUID(attempt["payment_id"]))
    periods = await billing.rows("select 1 from subscription_periods where tenant_id = $1", t=tenant_id)
    assert len(periods) == 1
    owner = billing.client(user_id=me, tenant_id=tenant_id)
    renewal = await place(owner)
    assert renewal["payment_status"] == "paid"


@pytest.mark.invariant("S1")
async def test_one_customers_credit_pays_no_other_customers_order(billing: Billing) -> None:
    await Customer(billing).pays("500000")
    other = await Customer(billing).pays("50000")
    renewal = await place(other.owner)
    assert renewal["payment_status"] == "unpaid"
    assert (await initiate(other.owner, renewal, 3))["bank_details"]["amount"] == "50000"


async def test_a_full_refund_of_an_order_that_credit_had_helped_to_pay_returns_the_credit(billing: Billing) -> None:
    customer = await Customer(billing).pays("60000")
    renewal = await place(customer.owner)
    await customer.transfer(customer.owner, renewal)
    rows = await billing.rows("select id from payments where order_id = $1", id=UUID(renewal["id"]))
    maker, checker = billing.client(staff=["finance"]), billing.client(staff=["finance"])
    asked = await maker.post(f"/api/admin/payments/{rows[0]['id']}/refunds/", json={"reason": "withdrawn"})
    assert asked.json()["amount"] == "40000"
    refund = f"/api/admin/refunds/{asked.json()['id']}"
    await checker.post(f"{refund}/approve/", json={"reason": "fine"})
    await checker.post(f"{refund}/record/", json={"reason": "sent", "reference": f"VIR-{rows[0]['id']}"})
    assert await customer.order(renewal) == ("refunded", "refunded")
    assert await customer.credit() == ["10000 XAF"]
    notes = await billing.rows("select total_minor from credit_notes where tenant_id = $1", t=customer.tenant_id)
    assert [note["total_minor"] for note in notes] == [50000]
    async with billing.store.for_tenant(customer.tenant_id) as uow:
        assert [str(of) for of in await uow.ledger.balances("receivable")] == ["0 XAF"]
