"""Refunds: who may ask for one and let it go, and how much may go back, at once by many."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import Billing
from common.ids import uuid7
from common.testing import eventually
from sqlalchemy.exc import DBAPIError

from services.billing.tests.integration.refund_steps import (
    REFUNDS,
    approve,
    ask,
    balances,
    paid_by_paypal,
    paid_by_transfer,
    paypal_refunds,
    refunded,
    tenant_of,
)

pytestmark = pytest.mark.integration


@pytest.mark.invariant("S31")
async def test_sixty_requests_at_once_never_ask_for_more_than_was_captured(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    tenant_id = await tenant_of(billing, order)
    chance = random.Random(31)
    makers = [billing.client(staff=["finance"]) for _ in range(6)]
    amounts = [chance.choice(["0.01", "1.37", "7.62", "20.00", "38.11", "76.22"]) for _ in range(60)]
    answers = await asyncio.gather(
        *(ask(billing, payment_id, makers[at % 6], amount=amount) for at, amount in enumerate(amounts))
    )
    assert {answer.status_code for answer in answers} == {201, 409}
    asked = [answer.json() for answer in answers if answer.status_code == 201]
    assert sum(round(float(refund["amount"]) * 100) for refund in asked) <= 7622
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"refund_too_large"}
    checkers = [billing.client(staff=["admin"]) for _ in range(3)]
    approvals = await asyncio.gather(
        *(approve(billing, refund, checker) for refund in asked for checker in checkers), return_exceptions=True
    )
    assert not [answer for answer in approvals if isinstance(answer, BaseException)]

    async def all_sent() -> bool:
        billing.clock.advance(timedelta(seconds=30))
        await billing.tools.refunding.follow_due()
        rows = await billing.rows("select status from refunds where payment_id = $1", id=payment_id)
        return {row["status"] for row in rows} == {"completed"}

    await eventually(all_sent)
    sent = await paypal_refunds(world, payment_id)
    assert len(sent) == len(asked), "each is sent once, whoever approved it how often"
    rows = await billing.rows(
        "select sum(amount_minor)::bigint as sum from refunds where payment_id = $1", id=payment_id
    )
    assert rows[0]["sum"] == sum(int(each["value"] * 100) for each in sent) <= 7622
    assert (await balances(billing, tenant_id)).get("clearing:paypal EUR", 0) == 7622 - rows[0]["sum"]


@pytest.mark.invariant("S31")
async def test_refunds_of_two_people_for_all_that_is_left_are_not_both_taken(billing: Billing) -> None:
    _buyer, _order, payment_id = await paid_by_transfer(billing)
    answers = await asyncio.gather(*(ask(billing, payment_id) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 49


async def test_a_rejected_refund_may_be_asked_for_again(billing: Billing) -> None:
    _buyer, _order, payment_id = await paid_by_transfer(billing)
    asked = (await ask(billing, payment_id)).json()
    staff = billing.client(staff=["finance"])
    rejected = await staff.post(f"{REFUNDS}{asked['id']}/reject/", json={"reason": "the wrong customer"})
    assert rejected.json()["status"] == "rejected"
    again = await staff.post(f"{REFUNDS}{asked['id']}/approve/", json={"reason": "after all"})
    assert (again.status_code, again.json()["code"]) == (409, "refund_state")
    assert (await ask(billing, payment_id)).status_code == 201


@pytest.mark.invariant("S40")
async def test_its_maker_does_not_approve_a_refund_and_nor_does_the_buyer(world: Any) -> None:
    billing = world.billing
    me = uuid7()
    buyer, _order, payment_id = await paid_by_paypal(world, billing.client(user_id=me))
    maker = billing.client(staff=["finance"])
    asked = (await ask(billing, payment_id, maker)).json()
    for person in (maker, billing.client(user_id=me, staff=["finance"])):
        answer = await approve(billing, asked, person)
        assert (answer.status_code, answer.json()["code"]) == (403, "same_person_refunds")
    assert (await approve(billing, asked, buyer)).status_code == 403
    assert await paypal_refunds(world, payment_id) == []
    with pytest.raises(DBAPIError, match="two_people"):
        async with billing.store.for_tenant(UUID(asked["organization_id"])) as uow:
            refund = await uow.refunds.lock(UUID(asked["id"]))
            await uow.refunds.move(refund, "approved", decided_by=UUID(asked["requested_by"]))


@pytest.mark.parametrize("who", [{}, {"staff": ["support"]}])
async def test_customers_and_support_ask_for_no_refund(billing: Billing, who: dict[str, Any]) -> None:
    _buyer, _order, payment_id = await paid_by_transfer(billing)
    answer = await ask(billing, payment_id, billing.client(**who))
    assert (answer.status_code, answer.json()["code"]) == (403, "staff_only")


async def test_refunds_are_audited_with_maker_checker_and_reason(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    maker, checker = uuid7(), uuid7()
    asked = (await ask(billing, payment_id, billing.client(user_id=maker, staff=["finance"]))).json()
    await approve(billing, asked, billing.client(user_id=checker, staff=["finance"]))
    rows = await billing.rows(
        "select actor, action, reason from audit_log where target = $1 order by at", t=asked["id"]
    )
    acts = [(row["action"], row["actor"], row["reason"]) for row in rows if "read" not in row["action"]]
    assert acts == [
        ("refund.requested", str(maker), "customer changed his mind"),
        ("refund.approved", str(checker), "checked with support"),
    ]
    assert await tenant_of(billing, order) == UUID(asked["organization_id"])


@pytest.mark.invariant("S1")
async def test_another_organizations_transaction_finds_neither_payment_nor_refund(world: Any) -> None:
    billing = world.billing
    _buyer, _order, payment_id = await paid_by_paypal(world)
    refund = await refunded(billing, payment_id, amount="1.00")
    async with billing.store.for_tenant(uuid7()) as uow:
        assert await uow.refunds.find(UUID(refund["id"])) is None
        assert await uow.refunds.page(None, 10) == []
        assert await uow.credit_notes.page(None, 10) == []


async def test_an_idempotency_key_asks_for_one_refund(billing: Billing) -> None:
    _buyer, _order, payment_id = await paid_by_transfer(billing)
    staff = billing.client(staff=["finance"])
    path, body = f"/api/admin/payments/{payment_id}/refunds/", {"amount": "1000", "reason": "goodwill"}
    answers = await asyncio.gather(
        *(staff.post(path, json=body, headers={"idempotency-key": "once"}) for _ in range(50))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
