"""Refunds by MTN's Disbursement product: sent once under our own reference, followed until MTN says a final word."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import by_momo, place, until_paid
from common.testing import eventually
from pydantic import SecretStr

pytestmark = pytest.mark.integration

REFUND = "/disbursement/v1_0/refund"


@pytest.fixture
def billing_settings() -> dict[str, Any]:
    return {
        "mtn_momo_disbursement_key": SecretStr("momo-disbursement-key"),
        "mtn_momo_disbursement_user_id": "5b1d9c34-7a0e-4f0b-8d57-3c9e2a6f4b20",
        "mtn_momo_disbursement_api_key": SecretStr("momo-disbursement-api-key"),
    }


async def paid(world: Any) -> tuple[dict[str, Any], UUID]:
    buyer = world.billing.client()
    order = await place(buyer)
    started = await by_momo(buyer, order)
    world.billing.clock.advance(timedelta(seconds=5))
    await until_paid(buyer, order)
    return order, UUID(started["payment_id"])


async def approved(world: Any, payment_id: UUID, **body: Any) -> dict[str, Any]:
    maker, checker = world.billing.client(staff=["finance"]), world.billing.client(staff=["finance"])
    asked = await maker.post(
        f"/api/admin/payments/{payment_id}/refunds/", json={"reason": "customer changed his mind"} | body
    )
    assert asked.status_code == 201, asked.text
    answer = await checker.post(f"/api/admin/refunds/{asked.json()['id']}/approve/", json={"reason": "checked"})
    assert answer.status_code == 200, answer.text
    refund: dict[str, Any] = answer.json()
    return refund


async def followed(world: Any, refund: dict[str, Any]) -> dict[str, Any]:
    """Let the janitor ask again, a good while later, until MTN has said a final word."""

    async def final() -> dict[str, Any] | None:
        world.billing.clock.advance(timedelta(seconds=30))
        await world.billing.tools.refunding.follow_due()
        rows = await world.billing.rows("select * from refunds where id = $1", id=UUID(refund["id"]))
        found: dict[str, Any] = rows[0]
        return found if found["next_poll_at"] is None else None

    row: dict[str, Any] = await eventually(final, what="the refund to end")
    return row


async def sent(world: Any) -> list[dict[str, Any]]:
    return [one for one in await world.requests(world.momo, REFUND) if one["method"] == "POST"]


async def disbursed(world: Any, **wanted: int) -> dict[str, Any]:
    """What MTN has sent back and has left to send; ``balance`` sets that."""
    url = f"{world.momo.url}/_sim/disbursement"
    answer = await (world.http.put(url, json=wanted) if wanted else world.http.get(url))
    moved: dict[str, Any] = answer.json()
    return moved


async def cases(world: Any, payment_id: UUID) -> list[str]:
    rows = await world.billing.rows("select kind from cases where payment_id = $1 order by kind", p=payment_id)
    return [row["kind"] for row in rows]


async def test_a_refund_goes_by_mtn_and_its_money_is_booked(world: Any) -> None:
    order, payment_id = await paid(world)
    refund = await approved(world, payment_id)
    assert (refund["channel"], refund["status"]) == ("provider", "processing")
    row = await followed(world, refund)
    assert row["status"] == "completed"
    assert row["refund_reference"].isdigit()
    assert len(await sent(world)) == 1
    orders = await world.billing.rows("select status, payment_status from orders where id = $1", id=UUID(order["id"]))
    assert dict(orders[0]) == {"status": "refunded", "payment_status": "refunded"}
    left = await world.billing.rows(
        "select account from ledger_postings where tenant_id = $1 group by 1, currency having sum(amount_minor) <> 0",
        t=row["tenant_id"],
    )
    assert left == []


@pytest.mark.invariant("S31")
async def test_a_refund_whose_answer_is_lost_is_sent_again_under_its_reference(world: Any) -> None:
    _order, payment_id = await paid(world)
    await world.faults(world.momo, {"match": {"path": REFUND, "method": "POST"}, "drop": "after", "times": 1})
    row = await followed(world, await approved(world, payment_id, amount="20000"))
    assert (row["status"], row["amount_minor"]) == ("completed", 20_000)
    moved = (await disbursed(world))["refunds"]
    assert moved == [{"reference": row["provider_reference"], "status": "SUCCESSFUL", "amount": "20000"}]


async def test_a_refund_that_never_arrived_is_sent_again_and_moves_money_once(world: Any) -> None:
    _order, payment_id = await paid(world)
    await world.faults(world.momo, {"match": {"path": REFUND, "method": "POST"}, "drop": "before", "times": 2})
    row = await followed(world, await approved(world, payment_id))
    assert row["status"] == "completed"
    assert (await disbursed(world))["balance"] == 10_000_000 - 50_000


async def test_an_account_without_funds_fails_the_refund_and_calls_a_person(world: Any) -> None:
    _order, payment_id = await paid(world)
    await disbursed(world, balance=0)
    row = await followed(world, await approved(world, payment_id))
    assert (row["status"], row["reason_code"]) == ("failed", "NOT_ENOUGH_FUNDS")
    assert await cases(world, payment_id) == ["refund_failed", "refund_held"]
    await disbursed(world, balance=50_000)
    again = await followed(world, await approved(world, payment_id))
    assert again["status"] == "completed"


@pytest.mark.invariant("S31")
async def test_a_refund_that_mtn_states_with_another_amount_is_never_booked(world: Any) -> None:
    _order, payment_id = await paid(world)
    refund = await approved(world, payment_id)
    lie = {"amount": "1", "currency": "XAF", "externalId": refund["id"], "status": "SUCCESSFUL"}
    await world.faults(
        world.momo, {"match": {"path": f"{REFUND}/*", "method": "GET"}, "status": 200, "body": lie, "times": 1}
    )
    world.billing.clock.advance(timedelta(seconds=30))
    await world.billing.tools.refunding.follow_due()
    row = (await world.billing.rows("select * from refunds where id = $1", id=UUID(refund["id"])))[0]
    assert (row["status"], row["reason_code"]) == ("unknown", "amount")
    assert await cases(world, payment_id) == ["refund_differs"]
