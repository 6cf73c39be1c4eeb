"""Many at a time, in any order, any number of times: one completion, one invoice, one event, one period."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from billing.domain.money import Money
from billing.domain.payment import SECOND_TAP
from billing.domain.plan import Method
from billing.persistence.tables import ledger_entries, ledger_postings
from billing.ports import ProviderState, ProviderStatus
from billing.testing import ORDERS, PAYMENTS, Billing, by_momo, place, verify
from billing.usecases.apply_provider_state import apply_provider_state
from billing.workflows.checkout import view_of
from common.ids import uuid7
from common.testing import eventually
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

pytestmark = pytest.mark.integration


async def tenant_of(billing: Billing, order: dict[str, Any]) -> UUID:
    rows = await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"]))
    return UUID(str(rows[0]["tenant_id"]))


async def counted(billing: Billing, tenant_id: UUID) -> dict[str, int]:
    found = {}
    for table in ("invoices", "subscriptions", "subscription_periods", "payment_allocations"):
        rows = await billing.rows(f"select count(*) from {table} where tenant_id = $1", t=tenant_id)
        found[table] = rows[0]["count"]
    rows = await billing.rows(
        "select count(*) from outbox where tenant_id = $1 and type = 'payment.confirmed.v1'", t=tenant_id
    )
    return found | {"confirmations": rows[0]["count"]}


ONCE = {"invoices": 1, "subscriptions": 1, "subscription_periods": 1, "payment_allocations": 1, "confirmations": 1}


@pytest.mark.invariant("S22")
@pytest.mark.invariant("S25")
async def test_verifies_callbacks_and_janitors_at_once_complete_an_order_once(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order, "46733123454")
    row = (
        await billing.rows(
            "select callback_token, provider_reference from payments where id = $1", id=UUID(started["payment_id"])
        )
    )[0]
    await world.decide(row["provider_reference"], "SUCCESSFUL")
    tenant_id = await tenant_of(billing, order)
    front = billing.client(anonymous=True)

    async def one(index: int) -> None:
        billing.clock.advance(timedelta(seconds=2))
        if index % 3 == 0:
            await front.put(f"/webhooks/mtn-momo/{row['callback_token']}", json={})
        elif index % 3 == 1:
            await verify(buyer, order)
        else:
            await billing.checkout.ask(tenant_id, UUID(started["payment_id"]))

    await asyncio.gather(*(one(index) for index in range(60)))
    assert (await verify(buyer, order))["payment_status"] == "paid"
    assert await counted(billing, tenant_id) == ONCE


@pytest.mark.invariant("S24")
async def test_two_attempts_that_succeed_at_the_same_moment_bring_one_period(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    tenant_id = await tenant_of(billing, order)
    attempts = []
    for _ in range(3):
        attempts.append(await by_momo(buyer, order, "46733123454"))
        billing.clock.advance(SECOND_TAP)
    rows = await billing.rows("select id, provider_reference from payments where order_id = $1", id=UUID(order["id"]))
    for row in rows:
        await world.decide(row["provider_reference"], "SUCCESSFUL")
    await asyncio.gather(*(billing.checkout.ask(tenant_id, row["id"]) for row in rows for _ in range(17)))

    async def all_completed() -> bool:
        states = await billing.rows("select status from payments where order_id = $1", id=UUID(order["id"]))
        return [row["status"] for row in states] == ["completed"] * len(attempts)

    await eventually(all_completed)
    assert await counted(billing, tenant_id) == ONCE
    ends = await billing.rows(
        "select ends_at from subscriptions where tenant_id = $1"
        " union select ends_at from subscription_periods where tenant_id = $1",
        t=tenant_id,
    )
    assert len(ends) == 1, "the subscription ends where its one period does"
    async with billing.store.for_tenant(tenant_id) as uow:
        assert [str(money) for money in await uow.ledger.balances("customer_credit")] == ["-100000 XAF"]
        assert [money.amount_minor for money in await uow.ledger.balances("receivable")] == [0]
        assert [money.amount_minor for money in await uow.ledger.balances("unallocated")] == [0]


def _state(status: ProviderStatus, view: Any) -> ProviderState:
    return ProviderState(
        status=status,
        provider_status=status.value,
        provider_reference=view.provider_reference,
        receipt_reference=f"R-{view.payment_id}" if status is ProviderStatus.COMPLETED else None,
        amount=view.amount,
        payment_id=view.payment_id,
        reason_code="EXPIRED" if status is ProviderStatus.FAILED else None,
    )


@pytest.mark.invariant("S22")
@pytest.mark.parametrize("seed", range(6))
async def test_news_in_any_order_and_number_ends_in_the_same_state(billing: Billing, seed: int) -> None:
    """The news contains a success, twice; whatever else is said before and after, the order ends paid, once."""
    chance = random.Random(seed)
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order, "46733123454")
    tenant_id = await tenant_of(billing, order)
    async with billing.store.for_tenant(tenant_id) as uow:
        payment = await uow.payments.find(UUID(started["payment_id"]))
        placed = await uow.orders.find(UUID(order["id"]))
    assert payment is not None
    assert placed is not None
    view = view_of(payment, placed)
    news = [ProviderStatus.COMPLETED] * 2 + chance.choices(list(ProviderStatus), k=48)
    chance.shuffle(news)

    async def apply(status: ProviderStatus) -> None:
        async with billing.store.for_tenant(tenant_id) as uow:
            await apply_provider_state(
                uow, view, placed.id, _state(status, view), issuer=billing.tools.issuer, payee=None
            )

    await asyncio.gather(*(apply(status) for status in news))
    current = (await buyer.get(f"{ORDERS}{order['id']}/")).json()
    assert (current["status"], current["payment_status"]) == ("paid", "paid")
    states = await billing.rows("select status, next_poll_at from payments where id = $1", id=payment.id)
    assert (states[0]["status"], states[0]["next_poll_at"]) == ("completed", None)
    assert await counted(billing, tenant_id) == ONCE
    async with billing.store.for_tenant(tenant_id) as uow:
        assert await uow.ledger.balances("customer_credit") == [], "a repeated success is not money that is left over"


@pytest.mark.parametrize(
    "body",
    [
        {"payment_method_id": 2, "phone_number": "46733123454"},
        {"payment_method_id": 3},
        {"payment_method_id": 1, "return_url": "https://a.com/x", "cancel_url": "https://a.com/y"},
    ],
)
async def test_fifty_taps_on_pay_begin_one_payment_and_one_later_another(world: Any, body: dict[str, Any]) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    pay = partial(buyer.post, f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    taps = await asyncio.gather(*(pay() for _ in range(50)))
    assert {answer.status_code for answer in taps} == {200}
    (first,) = {answer.json()["payment_id"] for answer in taps}
    prompts = await world.requests(world.momo, "/collection/v1_0/requesttopay")
    assert sum(first in prompt["body"] for prompt in prompts) == (body["payment_method_id"] == 2)
    told = "select 1 from mails where tenant_id = $1 and key like 'how_to_pay:%'"
    assert len(await billing.rows(told, t=await tenant_of(billing, order))) == (body["payment_method_id"] == 3)
    billing.clock.advance(SECOND_TAP)
    assert (await pay()).json()["payment_id"] != first
    states = await billing.rows("select status from payments where order_id = $1 order by id", id=UUID(order["id"]))
    assert [row["status"] == "superseded" for row in states] == [True, False]


@pytest.mark.invariant("S43")
@pytest.mark.parametrize(
    "body",
    [
        {"payment_method_id": 2, "phone_number": "46733123454"},
        {"payment_method_id": 3},
        {"payment_method_id": 1, "return_url": "https://a.com/x", "cancel_url": "https://a.com/y"},
    ],
)
async def test_an_idempotency_key_starts_one_payment(world: Any, body: dict[str, Any]) -> None:
    buyer = world.billing.client()
    order = await place(buyer)
    path, headers = f"{ORDERS}{order['id']}/initiate_payment/", {"idempotency-key": "pay-once"}
    answers = [
        answer.json()
        for answer in await asyncio.gather(*(buyer.post(path, json=body, headers=headers) for _ in range(50)))
    ]
    assert len({answer["payment_id"] for answer in answers}) == 1
    again = (await buyer.post(path, json=body, headers=headers)).json()
    assert again["payment_id"] == answers[0]["payment_id"]
    assert (again.get("redirect_url") is None) is (body["payment_method_id"] != 1)
    rows = await world.billing.rows("select 1 from payments where order_id = $1", id=UUID(order["id"]))
    assert len(rows) == 1
    other = await buyer.post(path, json=body | {"order_id": order["id"]}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_of_many_claimants_one_may_ask(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order, "46733123454")
    billing.clock.advance(timedelta(seconds=30))
    payment_id = UUID(started["payment_id"])
    claims = await asyncio.gather(*(billing.checkout.claim(payment_id, Method.MTN_MOMO) for _ in range(60)))
    assert sum(1 for claim in claims if claim is not None) == 1


class TestBudget:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"provider_calls_per_second": 3}

    async def test_a_provider_is_asked_no_more_often_than_its_budget(self, billing: Billing) -> None:
        async def spend() -> bool:
            async with billing.store.for_system("janitor") as uow:
                return await uow.polling.spend("a_provider", 1)

        spent = [await spend() for _ in range(10)]
        assert spent[0] is True
        assert spent.count(True) <= 3
        await eventually(spend, what="the budget to be refilled")

    async def test_a_claim_without_budget_leaves_the_attempt_due(self, billing: Billing) -> None:
        buyer = billing.client()
        order = await place(buyer)
        started = await by_momo(buyer, order, "46733123454")
        payment_id = UUID(started["payment_id"])
        billing.clock.advance(timedelta(seconds=30))
        async with billing.superuser() as connection:
            await connection.execute("delete from provider_budgets")
            await connection.execute("insert into provider_budgets values ('mtn_momo', -60000, clock_timestamp())")
        assert await billing.checkout.claim(payment_id, Method.MTN_MOMO) is None
        async with billing.superuser() as connection:
            await connection.execute("delete from provider_budgets")
        assert await billing.checkout.claim(payment_id, Method.MTN_MOMO) is not None
        async with billing.superuser() as connection:
            await connection.execute("delete from provider_budgets")


@pytest.mark.invariant("S21")
async def test_one_movement_of_money_confirms_one_payment(billing: Billing) -> None:
    """A receipt that another organization's payment has already is quarantined, and late news changes no reason."""
    views = []
    for _ in range(2):
        buyer = billing.client()
        order = await place(buyer)
        started = await by_momo(buyer, order, "46733123454")
        tenant_id = await tenant_of(billing, order)
        async with billing.store.for_tenant(tenant_id) as uow:
            payment = await uow.payments.find(UUID(started["payment_id"]))
            placed = await uow.orders.find(UUID(order["id"]))
        assert payment is not None
        assert placed is not None
        views.append((tenant_id, placed.id, view_of(payment, placed)))
    receipt = f"R-{views[0][2].payment_id}"
    for tenant_id, order_id, view in views:
        said = replace(_state(ProviderStatus.COMPLETED, view), receipt_reference=receipt)
        for state in (said, _state(ProviderStatus.FAILED, view), said):
            async with billing.store.for_tenant(tenant_id) as uow:
                await apply_provider_state(uow, view, order_id, state, issuer=billing.tools.issuer, payee=None)
    rows = [
        (await billing.rows("select status, reason_code from payments where id = $1", id=view.payment_id))[0]
        for _tenant, _order, view in views
    ]
    assert rows[0] == {"status": "completed", "reason_code": None}
    assert rows[1]["status"] == "quarantined"
    told = (await buyer.get(f"{PAYMENTS}{views[1][2].payment_id}/", headers={"accept-language": "en"})).json()["reason"]
    assert "Do not pay a second time" in told, "who is told that it failed pays twice"
    assert await counted(billing, views[0][0]) == ONCE
    assert (await counted(billing, views[1][0]))["confirmations"] == 0


async def test_an_open_payment_is_shown_to_a_person_after_a_day_and_watched_further(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order, "46733123454")
    tenant_id = await tenant_of(billing, order)
    billing.clock.advance(timedelta(hours=25))
    await billing.checkout.ask(tenant_id, UUID(started["payment_id"]))
    cases = await billing.rows("select kind from cases where payment_id = $1", id=UUID(started["payment_id"]))
    assert [case["kind"] for case in cases] == ["overdue"]
    rows = await billing.rows("select status, next_poll_at from payments where id = $1", id=UUID(started["payment_id"]))
    assert rows[0]["status"] == "pending"
    assert rows[0]["next_poll_at"] is not None


async def test_a_ledger_entry_that_does_not_balance_cannot_be_committed(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    tenant_id = await tenant_of(billing, order)
    entry = uuid7()
    with pytest.raises(IntegrityError, match="does not balance"):
        async with billing.store.for_tenant(tenant_id) as uow:
            await uow.session.execute(
                insert(ledger_entries).values(
                    tenant_id=tenant_id, id=entry, kind="payment", source_id=entry, booked_at=billing.clock.now()
                )
            )
            await uow.session.execute(
                insert(ledger_postings).values(
                    tenant_id=tenant_id,
                    entry_id=entry,
                    position=1,
                    account="revenue",
                    amount_minor=Money(1, "XAF").amount_minor,
                    currency="XAF",
                )
            )
