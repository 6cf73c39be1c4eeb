"""What a refund changes: order, period, ledger, the customer's credit and his credit notes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import Billing, initiate, verify
from common.ids import uuid7

from services.billing.tests.integration.refund_steps import (
    REFUNDS,
    ask,
    balances,
    paid_by_paypal,
    paid_by_transfer,
    paypal_refunds,
    record,
    refunded,
    states,
    subscription,
    tenant_of,
)

pytestmark = pytest.mark.integration


@pytest.mark.invariant("S74")
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


@pytest.mark.invariant("S74")
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
