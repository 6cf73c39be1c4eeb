"""MTN's list for going live, through the product: each number of its sandbox, and what its acceptance list asks for.

What the adapter makes of each answer is in `test_mtn_momo_adapter`; here is what the customer and finance see.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.domain.reason import explain
from billing.testing import ORDERS, PAYMENTS, by_momo, by_paypal, place, verify
from common.testing import eventually
from simulators.mtn_momo.outcomes import PAYERS

pytestmark = pytest.mark.integration
ANOTHER = "11111111-2222-4333-8444-555555555555"
PENDING, PAID, FAILED = "pending", "paid", "failed"
BY_THE_LAST_DIGITS = {
    "450": (FAILED, "INTERNAL_PROCESSING_ERROR", 0),
    "451": (FAILED, "APPROVAL_REJECTED", 0),
    "452": (FAILED, "EXPIRED", 0),
    "453": (PAID, None, 0),
    "454": (PENDING, None, 0),
    "455": (FAILED, "PAYER_NOT_FOUND", 0),
    "456": (FAILED, "PAYEE_NOT_ALLOWED_TO_RECEIVE", 1),
    "457": (FAILED, "NOT_ALLOWED", 1),
    "458": (FAILED, "NOT_ALLOWED_TARGET_ENVIRONMENT", 1),
    "459": (FAILED, "INVALID_CALLBACK_URL_HOST", 1),
    "460": (FAILED, "INVALID_CURRENCY", 1),
    "461": (FAILED, "not_received", 0),
    "462": (FAILED, "not_received", 0),
    "463": (FAILED, "COULD_NOT_PERFORM_TRANSACTION", 0),
    "464": (FAILED, "TRANSFER_TYPE_UNKNOWN", 0),
}
"""The number's end → what its order says, why its payment failed, and how many cases wait for a person of ours."""

OUR_OWN_AFFAIR = {"457", "458", "459", "460"}
"""Refused for what we sent or are: the customer hears at once that this method does not work now."""


async def _facts(world: Any, order: dict[str, Any], payment_id: str) -> tuple[int, int, int]:
    """Return how many cases, invoices and periods there are of an order's payment."""
    counted = await world.billing.rows(
        "select (select count(*) from cases where payment_id = $1) as cases,"
        " (select count(*) from invoices where order_id = $2) as invoices,"
        " (select count(*) from subscription_periods where order_id = $2) as periods",
        payment=UUID(payment_id),
        order=UUID(order["id"]),
    )
    return counted[0]["cases"], counted[0]["invoices"], counted[0]["periods"]


async def _ask(world: Any, buyer: Any, order: dict[str, Any], number: str) -> tuple[int, str]:
    """Ask a number for the money; return what the customer is answered and the id of the payment."""
    answer = await buyer.post(
        f"{ORDERS}{order['id']}/initiate_payment/", json={"payment_method_id": 2, "phone_number": number}
    )
    rows = await world.billing.rows("select id from payments where order_id = $1", id=UUID(order["id"]))
    assert len(rows) == 1
    return answer.status_code, str(rows[0]["id"])


def test_the_table_has_all_fifteen_numbers() -> None:
    assert {f"46733123{end}" for end in BY_THE_LAST_DIGITS} == set(PAYERS)
    assert len(PAYERS) == 15


class TestAtTheSandbox:
    @pytest.fixture
    def momo_config(self) -> dict[str, Any]:
        return {"approval_delay": 0.01, "ongoing_delay": 0.05, "environment": "sandbox"}

    @pytest.mark.parametrize("end", BY_THE_LAST_DIGITS)
    async def test_each_number_ends_as_it_should_for_customer_and_finance(self, world: Any, end: str) -> None:
        wanted, reason, cases = BY_THE_LAST_DIGITS[end]
        billing = world.billing
        buyer = billing.client()
        order = await place(buyer)
        status, payment_id = await _ask(world, buyer, order, f"46733123{end}")
        assert status == (503 if end in OUR_OWN_AFFAIR else 200)

        async def ended() -> str | None:
            billing.clock.advance(timedelta(minutes=1))
            await billing.watch.ask_due()
            said = (await verify(buyer, order))["payment_status"]
            return said if said == wanted else None

        if wanted == PENDING:
            billing.clock.advance(timedelta(hours=23))
            await billing.watch.ask_due()
        assert await eventually(ended)
        payment = (await buyer.get(f"{PAYMENTS}{payment_id}/")).json()
        assert (payment["reason_code"], payment["reason"]) == (reason, explain(reason, "en"))
        paid = int(wanted == PAID)
        assert await _facts(world, order, payment_id) == (cases, paid, paid)
        if wanted == FAILED:
            again = await by_momo(buyer, order, "46733120000")
            assert again["payment_id"] != payment_id

    @pytest.mark.parametrize("reason", ["NOT_ENOUGH_FUNDS", "PAYER_LIMIT_REACHED", "TRANSACTION_CANCELED", "A_NEW_ONE"])
    async def test_a_refusal_is_told_and_the_order_can_be_paid_otherwise(self, world: Any, reason: str) -> None:
        buyer = world.billing.client()
        order = await place(buyer)
        started = await by_momo(buyer, order, "46733123454")
        rows = await world.billing.rows(
            "select provider_reference from payments where id = $1", id=UUID(started["payment_id"])
        )
        await world.decide(rows[0]["provider_reference"], "FAILED", reason)

        async def told() -> bool:
            world.billing.clock.advance(timedelta(seconds=11))
            return bool((await verify(buyer, order))["payment_status"] == FAILED)

        await eventually(told)
        payment = (await buyer.get(f"{PAYMENTS}{started['payment_id']}/")).json()
        assert (payment["reason_code"], payment["reason"]) == (reason, explain(reason, "en"))
        assert (await by_paypal(buyer, order))["redirect_url"]


@pytest.mark.parametrize(
    "momo_config", [{"subscription_key": "another"}, {"api_key": "another"}, {"api_user": ANOTHER}]
)
async def test_credentials_that_mtn_refuses_take_no_money_and_are_shown_to_a_person(world: Any) -> None:
    buyer = world.billing.client()
    order = await place(buyer)
    status, payment_id = await _ask(world, buyer, order, "237670000001")
    assert status == 503
    assert await _facts(world, order, payment_id) == (1, 0, 0)
    assert (await buyer.get(f"{PAYMENTS}{payment_id}/")).json()["status"] == "failed"
    assert (await by_paypal(buyer, order))["redirect_url"]


@pytest.mark.invariant("S23")
async def test_the_same_reference_twice_is_one_request_to_pay(world: Any) -> None:
    buyer = world.billing.client()
    order = await place(buyer)
    await world.faults(world.momo, {"match": {"path": "*/requesttopay"}, "drop": "after", "times": 2})
    started = await by_momo(buyer, order)
    rows = await world.billing.rows(
        "select tenant_id, provider_reference from payments where id = $1", id=UUID(started["payment_id"])
    )
    async with world.billing.store.for_tenant(rows[0]["tenant_id"]) as uow:
        payment = await uow.payments.find(UUID(started["payment_id"]))
        kept = await uow.orders.find(UUID(order["id"]))
    await world.billing.checkout.start(payment, kept)
    sent = await world.requests(world.momo, "/collection/v1_0/requesttopay")
    assert {entry["headers"]["x-reference-id"] for entry in sent} == {rows[0]["provider_reference"]}
    assert len(sent) == 2

    async def paid() -> bool:
        world.billing.clock.advance(timedelta(seconds=11))
        return bool((await verify(buyer, order))["payment_status"] == PAID)

    await eventually(paid)
    assert await _facts(world, order, started["payment_id"]) == (0, 1, 1)
