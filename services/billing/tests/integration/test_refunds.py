"""Refunds: asked for, approved by another person, sent once, followed to the end; by PayPal and by hand."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import PAYMENTS, Billing, by_momo, by_paypal, initiate, place, until_paid, verify
from common.ids import uuid7
from common.testing import eventually
from sqlalchemy.exc import DBAPIError

pytestmark = pytest.mark.integration

REFUNDS = "/api/admin/refunds/"


async def paid_by_paypal(world: Any, buyer: Any = None, **changes: Any) -> tuple[Any, dict[str, Any], UUID]:
    buyer = buyer or world.billing.client()
    order = await place(buyer, **changes)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    world.billing.clock.advance(timedelta(seconds=5))
    await until_paid(buyer, order)
    return buyer, order, UUID(started["payment_id"])


async def paid_by_transfer(billing: Billing, amount: str | None = None) -> tuple[Any, dict[str, Any], UUID]:
    buyer = billing.client()
    order = await place(buyer)
    started = await initiate(buyer, order, 3)
    staff = billing.client(staff=["finance"])
    body = {"approve": True} | ({"amount": amount} if amount else {})
    answer = await staff.post(f"{PAYMENTS}{started['payment_id']}/verify_bank_transfer/", json=body)
    assert answer.status_code == 200, answer.text
    return buyer, order, UUID(started["payment_id"])


async def ask(billing: Billing, payment_id: UUID, maker: Any = None, **body: Any) -> Any:
    maker = maker or billing.client(staff=["finance"])
    return await maker.post(
        f"/api/admin/payments/{payment_id}/refunds/", json={"reason": "customer changed his mind"} | body
    )


async def approve(billing: Billing, refund: dict[str, Any], checker: Any = None) -> Any:
    checker = checker or billing.client(staff=["finance"])
    return await checker.post(f"{REFUNDS}{refund['id']}/approve/", json={"reason": "checked with support"})


async def refunded(billing: Billing, payment_id: UUID, **body: Any) -> dict[str, Any]:
    asked = await ask(billing, payment_id, **body)
    assert asked.status_code == 201, asked.text
    answer = await approve(billing, asked.json())
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def record(billing: Billing, refund: dict[str, Any], reference: str) -> Any:
    staff = billing.client(staff=["finance"])
    return await staff.post(
        f"{REFUNDS}{refund['id']}/record/", json={"reference": reference, "reason": "sent from our bank"}
    )


async def tenant_of(billing: Billing, order: dict[str, Any]) -> UUID:
    rows = await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"]))
    return UUID(str(rows[0]["tenant_id"]))


async def balances(billing: Billing, tenant_id: UUID) -> dict[str, int]:
    rows = await billing.rows(
        "select account, currency, sum(amount_minor)::bigint as balance from ledger_postings where tenant_id = $1"
        " group by 1, 2 having sum(amount_minor) <> 0",
        t=tenant_id,
    )
    return {f"{row['account']} {row['currency']}": row["balance"] for row in rows}


async def states(billing: Billing, order: dict[str, Any]) -> tuple[str, str]:
    row = (await billing.rows("select status, payment_status from orders where id = $1", id=UUID(order["id"])))[0]
    return row["status"], row["payment_status"]


async def subscription(billing: Billing, tenant_id: UUID) -> dict[str, Any]:
    return dict(
        (await billing.rows("select status, reason, ends_at from subscriptions where tenant_id = $1", t=tenant_id))[0]
    )


async def paypal_refunds(world: Any, payment_id: UUID) -> list[dict[str, Any]]:
    rows = await world.billing.rows("select provider_reference from payments where id = $1", id=payment_id)
    order = world.paypal.paypal.store.orders[rows[0]["provider_reference"]]
    return [vars(refund) for refund in order.capture.refunds]


async def test_a_full_refund_by_paypal_ends_the_running_period(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    tenant_id = await tenant_of(billing, order)
    refund = await refunded(billing, payment_id)
    assert (refund["status"], refund["amount"], refund["currency"]) == ("completed", "76.22", "EUR")
    assert (refund["from_order"], refund["from_credit"], refund["channel"]) == ("50000", "0", "provider")
    assert [str(each["value"]) for each in await paypal_refunds(world, payment_id)] == ["76.22"]
    assert await states(billing, order) == ("refunded", "refunded")
    ended = await subscription(billing, tenant_id)
    assert (ended["status"], ended["reason"]) == ("ended", "refunded")
    assert ended["ends_at"] <= billing.clock.now()
    assert await balances(billing, tenant_id) == {}
    payment = await billing.rows("select status from payments where id = $1", id=payment_id)
    assert payment[0]["status"] == "refunded"
    facts = await billing.rows(
        "select envelope->'data' as data from outbox where tenant_id = $1 and type = 'payment.refunded.v1'", t=tenant_id
    )
    assert len(facts) == 1
    assert '"ends_period": true' in facts[0]["data"]
    told = await billing.rows(
        "select 1 from outbox where tenant_id = $1 and type = 'subscription.ended.v1'", t=tenant_id
    )
    assert len(told) == 1
    mails = await billing.rows("select body_text from mails where key = $1", key=f"refund_sent:{refund['id']}")
    assert "76,22" in mails[0]["body_text"] or "76.22" in mails[0]["body_text"]


async def test_a_partial_refund_changes_nothing_but_what_was_paid(world: Any) -> None:
    billing = world.billing
    buyer, order, payment_id = await paid_by_paypal(world)
    tenant_id = await tenant_of(billing, order)
    before = await subscription(billing, tenant_id)
    await refunded(billing, payment_id, amount="38.11")
    assert await states(billing, order) == ("paid", "partially_refunded")
    assert await subscription(billing, tenant_id) == before
    assert await balances(billing, tenant_id) == {
        "clearing:paypal EUR": 3811,
        "exchange EUR": -3811,
        "exchange XAF": 25000,
        "revenue XAF": -25000,
    }
    await billing.provision(order)
    assert await states(billing, order) == ("completed", "partially_refunded")
    assert (await verify(buyer, order))["success"] is True
    rest = await refunded(billing, payment_id)
    assert (rest["amount"], rest["from_order"]) == ("38.11", "25000")
    assert await states(billing, order) == ("refunded", "refunded")


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


async def test_a_refund_whose_answer_was_lost_is_found_and_not_sent_again(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"method": "POST", "path": "/v2/payments/captures/*/refund"}, "drop": "after", "times": 1},
    )
    refund = await refunded(billing, payment_id)
    assert refund["status"] == "unknown"
    billing.clock.advance(timedelta(hours=7))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")
    assert len(await paypal_refunds(world, payment_id)) == 1
    posts = [
        request
        for request in await world.requests(world.paypal, "/v2/payments/captures/*/refund")
        if request["method"] == "POST"
    ]
    assert len(posts) == 1, "the first question is whether it arrived"


async def test_a_refund_that_never_arrived_is_sent_with_the_same_key(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"method": "POST", "path": "/v2/payments/captures/*/refund"}, "drop": "before", "times": 1},
    )
    refund = await refunded(billing, payment_id)
    assert refund["status"] == "unknown"
    billing.clock.advance(timedelta(minutes=1))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")
    keys = {
        request["headers"]["paypal-request-id"]
        for request in await world.requests(world.paypal, "/v2/payments/captures/*/refund")
    }
    assert keys == {f"refund-{refund['id']}-1"}


async def test_a_pending_refund_is_followed_until_it_is_done(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal, {"match": {"path": "/v2/payments/captures/*/refund"}, "effect": {"refund": "PENDING"}}
    )
    refund = await refunded(billing, payment_id)
    assert refund["status"] == "processing"
    assert await states(billing, order) == ("paid", "paid")
    billing.clock.advance(timedelta(days=2))
    await billing.tools.refunding.follow_due()
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_overdue"]
    (at_paypal,) = await paypal_refunds(world, payment_id)
    await world.http.post(f"{world.paypal.url}/_sim/refunds/{at_paypal['id']}", json={"status": "COMPLETED"})
    billing.clock.advance(timedelta(hours=1))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")


async def test_a_refund_that_fails_after_days_gives_back_what_may_be_refunded(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"path": "/v2/payments/captures/*/refund"}, "effect": {"refund": "PENDING"}, "times": 1},
    )
    await refunded(billing, payment_id)
    assert (await ask(billing, payment_id)).status_code == 409
    (at_paypal,) = await paypal_refunds(world, payment_id)
    await world.http.post(f"{world.paypal.url}/_sim/refunds/{at_paypal['id']}", json={"status": "FAILED"})
    billing.clock.advance(timedelta(hours=1))
    await billing.tools.refunding.follow_due()
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_failed"]
    assert await states(billing, order) == ("paid", "paid")
    assert (await refunded(billing, payment_id))["status"] == "completed"


async def test_a_refund_that_paypal_refuses_fails_and_is_shown_to_a_person(world: Any) -> None:
    billing = world.billing
    _buyer, _order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {"match": {"path": "/v2/payments/captures/*/refund"}, "effect": {"issue": "REFUND_NOT_ALLOWED"}},
    )
    refund = await refunded(billing, payment_id)
    assert (refund["status"], refund["reason_code"]) == ("failed", "REFUND_NOT_ALLOWED")
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_failed"]


async def test_an_empty_paypal_account_holds_the_refund_until_it_is_filled(world: Any) -> None:
    billing = world.billing
    _buyer, order, payment_id = await paid_by_paypal(world)
    await world.faults(
        world.paypal,
        {
            "match": {"path": "/v2/payments/captures/*/refund"},
            "effect": {"issue": "REFUND_FAILED_INSUFFICIENT_FUNDS"},
            "times": 1,
        },
    )
    assert (await refunded(billing, payment_id))["status"] == "unknown"
    cases = await billing.rows("select kind from cases where payment_id = $1", id=payment_id)
    assert [case["kind"] for case in cases] == ["refund_held"]
    billing.clock.advance(timedelta(minutes=1))
    await billing.tools.refunding.follow_due()
    assert await states(billing, order) == ("refunded", "refunded")


async def test_after_paypals_window_a_refund_goes_by_hand(world: Any) -> None:
    billing = world.billing
    _buyer, _order, payment_id = await paid_by_paypal(world)
    billing.clock.advance(timedelta(days=181))
    refund = await refunded(billing, payment_id)
    assert (refund["channel"], refund["status"]) == ("by_hand", "approved")
    assert await paypal_refunds(world, payment_id) == []


async def test_mobile_money_goes_back_by_hand_with_the_reference_of_the_movement(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order)
    await until_paid(buyer, order)
    refund = await refunded(billing, UUID(started["payment_id"]))
    assert (refund["channel"], refund["status"]) == ("by_hand", "approved")
    assert await billing.tools.refunding.follow_due() == 0
    done = await record(billing, refund, "MP261122.1234.A56789")
    assert (done.json()["status"], done.json()["refund_reference"]) == ("completed", "MP261122.1234.A56789")
    assert await states(billing, order) == ("refunded", "refunded")
    assert (await record(billing, refund, "MP261122.1234.A56790")).json()["code"] == "refund_state"
    assert await balances(billing, await tenant_of(billing, order)) == {}


async def test_one_movement_of_money_completes_one_refund(billing: Billing) -> None:
    outcomes = []
    for _ in range(2):
        _buyer, order, payment_id = await paid_by_transfer(billing)
        refund = await refunded(billing, payment_id)
        answer = await record(billing, refund, f"VIR-{billing.settings.issuer_code}-once")
        outcomes.append((answer.status_code, await states(billing, order)))
    assert outcomes == [(200, ("refunded", "refunded")), (409, ("paid", "paid"))]


async def test_a_refund_is_not_recorded_before_it_is_approved(billing: Billing) -> None:
    _buyer, order, payment_id = await paid_by_transfer(billing)
    asked = (await ask(billing, payment_id)).json()
    assert (await record(billing, asked, "VIR-early")).json()["code"] == "refund_state"
    assert await states(billing, order) == ("paid", "paid")


async def test_a_surplus_goes_back_from_the_customers_credit_and_corrects_no_invoice(billing: Billing) -> None:
    _buyer, order, payment_id = await paid_by_transfer(billing, "60000")
    tenant_id = await tenant_of(billing, order)
    refund = await refunded(billing, payment_id, amount="10000")
    assert (refund["from_order"], refund["from_credit"]) == ("0", "10000")
    assert "customer_credit XAF" not in await balances(billing, tenant_id), "it is spoken for"
    await record(billing, refund, f"VIR-{payment_id}")
    assert await states(billing, order) == ("paid", "paid")
    assert await billing.rows("select 1 from credit_notes where tenant_id = $1", t=tenant_id) == []
    assert await balances(billing, tenant_id) == {"clearing:bank_transfer XAF": 50000, "revenue XAF": -50000}
    too_much = await ask(billing, payment_id, amount="50001")
    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund_too_large")


async def test_credit_that_was_asked_back_and_rejected_is_the_customers_again(billing: Billing) -> None:
    _buyer, order, payment_id = await paid_by_transfer(billing, "60000")
    asked = (await ask(billing, payment_id, amount="10000")).json()
    staff = billing.client(staff=["finance"])
    await staff.post(f"{REFUNDS}{asked['id']}/reject/", json={"reason": "he wants to keep it"})
    assert (await balances(billing, await tenant_of(billing, order)))["customer_credit XAF"] == -10000


async def test_money_of_an_order_that_was_never_covered_goes_back_and_leaves_it_unpaid(billing: Billing) -> None:
    buyer, order, payment_id = await paid_by_transfer(billing, "20000")
    refund = await refunded(billing, payment_id)
    await record(billing, refund, f"VIR-{payment_id}")
    assert (await initiate(buyer, order, 3))["bank_details"]["amount"] == "50000"
    assert await balances(billing, await tenant_of(billing, order)) == {}


class TestWithVat:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {
            "issuer_vat_registered": True,
            "issuer_rccm": "RC/DLA/1",
            "issuer_niu": "M0126",
            "issuer_code": "VATNOTES",
        }

    @pytest.mark.invariant("S34")
    async def test_credit_notes_are_numbered_without_gap_and_sum_to_their_invoice(self, billing: Billing) -> None:
        _buyer, order, payment_id = await paid_by_transfer(billing)
        tenant_id = await tenant_of(billing, order)
        invoice = (await billing.rows("select * from invoices where tenant_id = $1", t=tenant_id))[0]
        for at, amount in enumerate(["10001", "333", "7", None]):
            asked = await refunded(billing, payment_id, **({"amount": amount} if amount else {}))
            assert (await record(billing, asked, f"VIR-{payment_id}-{at}")).status_code == 200
        notes = await billing.rows("select * from credit_notes where tenant_id = $1 order by sequence", t=tenant_id)
        year = notes[0]["year"]
        assert [note["number"] for note in notes] == [f"VATNOTES-AV-{year}-{at:06d}" for at in (1, 2, 3, 4)]
        assert {note["invoice_number"] for note in notes} == {invoice["number"]}
        assert sum(note["total_minor"] for note in notes) == invoice["total_minor"] == 59625
        assert sum(note["net_minor"] for note in notes) == 50000
        assert all(note["net_minor"] >= 0 for note in notes)
        assert await balances(billing, tenant_id) == {}
        unchanged = (await billing.rows("select * from invoices where tenant_id = $1", t=tenant_id))[0]
        assert unchanged == invoice

    @pytest.mark.invariant("S34")
    async def test_a_credit_note_never_changes(self, billing: Billing) -> None:
        _buyer, _order, payment_id = await paid_by_transfer(billing)
        await record(billing, await refunded(billing, payment_id), f"VIR-{payment_id}")
        async with billing.superuser() as connection:
            for statement in ("update credit_notes set total_minor = 1", "delete from credit_notes"):
                with pytest.raises(Exception, match="rows never change"):
                    await connection.execute(statement)


async def test_of_two_paid_periods_the_second_moves_up_when_the_first_is_refunded(world: Any) -> None:
    billing = world.billing
    me = uuid7()
    _buyer, order, payment_id = await paid_by_paypal(world, billing.client(user_id=me))
    tenant_id = await billing.provision(order)
    owner = billing.client(user_id=me, tenant_id=tenant_id)
    _buyer, renewal, _second = await paid_by_paypal(world, owner)
    assert renewal["kind"] == "renewal"
    before = await billing.rows(
        "select starts_at, ends_at from subscription_periods where order_id = $1", id=UUID(renewal["id"])
    )
    await refunded(billing, payment_id)
    now = billing.clock.now()
    after = await billing.rows(
        "select starts_at, ends_at from subscription_periods where order_id = $1", id=UUID(renewal["id"])
    )
    running = await subscription(billing, tenant_id)
    assert running["status"] == "active"
    assert abs(after[0]["starts_at"] - now) < timedelta(seconds=10)
    assert after[0]["ends_at"] - after[0]["starts_at"] == before[0]["ends_at"] - before[0]["starts_at"]
    assert running["ends_at"] == after[0]["ends_at"]


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
        *(staff.post(path, json=body, headers={"idempotency-key": "once"}) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
