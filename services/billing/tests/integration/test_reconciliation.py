"""The daily comparison with providers that lost, altered or invented something, and with a ledger that was tampered."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from billing.domain.plan import Method
from billing.testing import by_momo, by_paypal, place, until_paid

pytestmark = pytest.mark.integration


async def paid(world: Any) -> tuple[dict[str, Any], UUID]:
    buyer = world.billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    world.billing.clock.advance(timedelta(seconds=5))
    await until_paid(buyer, order)
    return order, UUID(started["payment_id"])


async def capture_of(world: Any, payment_id: UUID) -> Any:
    rows = await world.billing.rows("select provider_reference from payments where id = $1", id=payment_id)
    return world.paypal.paypal.store.orders[rows[0]["provider_reference"]].capture


async def today(world: Any, payment_id: UUID) -> Any:
    """The payment's own day is forgotten, so that this test's run is the first of it."""
    rows = await world.billing.rows("select completed_at from payments where id = $1", id=payment_id)
    day = rows[0]["completed_at"].astimezone(UTC).date()
    async with world.billing.superuser() as connection:
        await connection.execute("delete from reconciliations where day = $1", day)
        # Other tests' payments are at other simulators.
        await connection.execute(
            "update payments set completed_at = completed_at - interval '90 days' where completed_at >= $1 and id <> all($2)",
            datetime.combine(day, datetime.min.time(), UTC),
            world.mine,
        )
        await connection.execute(
            "update refunds set completed_at = completed_at - interval '90 days' where completed_at >= $1"
            " and payment_id <> all($2)",
            datetime.combine(day, datetime.min.time(), UTC),
            world.mine,
        )
    return day


async def differs(world: Any, payment_id: UUID) -> list[list[str]]:
    rows = await world.billing.rows(
        "select details from cases where payment_id = $1 and kind = 'reconciliation'", id=payment_id
    )
    return [json.loads(row["details"])["differs"] for row in rows]


async def refund(world: Any, payment_id: UUID, amount: str) -> None:
    maker, checker = world.billing.client(staff=["finance"]), world.billing.client(staff=["finance"])
    asked = await maker.post(
        f"/api/admin/payments/{payment_id}/refunds/", json={"amount": amount, "reason": "goodwill"}
    )
    sent = await checker.post(f"/api/admin/refunds/{asked.json()['id']}/approve/", json={"reason": "fine"})
    assert sent.json()["status"] == "completed", sent.text


@pytest.mark.invariant("S30")
async def test_what_a_provider_lost_altered_or_invented_becomes_a_case_and_the_rest_does_not(world: Any) -> None:
    billing, store = world.billing, world.paypal.paypal.store
    payments = [(await paid(world))[1] for _ in range(5)]
    world.mine = payments
    right, lost, altered, given_back, refunded = payments
    await refund(world, refunded, "10.00")
    store.orders.pop((await billing.rows("select provider_reference r from payments where id = $1", i=lost))[0]["r"])
    (await capture_of(world, altered)).value = Decimal("76.21")
    hidden = await capture_of(world, given_back)
    await world.faults(world.paypal, {"target": "delivery", "drop": "before"})
    gone = store.reverse(hidden, Decimal("5.00"))
    invented = store.captures[next(iter(store.captures))][1]
    alien = replace(invented, id="INVENTED000000001", value=Decimal("13.00"), created=datetime.now(UTC), refunds=[])
    store.captures[alien.id] = (store.captures[invented.id][0], alien)
    day = await today(world, right)
    found = await billing.tools.reconciling.run(Method.PAYPAL, day)
    assert await differs(world, right) == []
    assert await differs(world, refunded) == []
    assert await differs(world, lost) == [["state"]]
    assert await differs(world, altered) == [["amount"]]
    assert await differs(world, given_back) == [["refunded"]]
    unmatched = await billing.rows("select reference from unmatched_movements where found_on = $1", d=day)
    assert {row["reference"] for row in unmatched} >= {"INVENTED000000001", gone.id}
    assert found == 3 + 2
    runs = await billing.rows("select * from reconciliations where day = $1 and provider = 'paypal'", d=day)
    assert (runs[0]["checked"], runs[0]["differences"], runs[0]["is_listed"]) == (5, 5, True)
    assert runs[0]["finished_at"] is not None


@pytest.mark.invariant("S30")
async def test_a_day_is_compared_once_and_a_run_that_was_cut_off_is_begun_again(world: Any) -> None:
    _order, payment_id = await paid(world)
    world.mine = [payment_id]
    (await capture_of(world, payment_id)).value = Decimal("1.00")
    day = await today(world, payment_id)
    reconciling = world.billing.tools.reconciling
    await world.faults(world.paypal, {"match": {"path": "/v1/reporting/transactions*"}, "status": 503})
    with pytest.raises(Exception, match="http_503"):
        await reconciling.run(Method.PAYPAL, day)
    await world.faults(world.paypal)
    assert await reconciling.run(Method.PAYPAL, day) >= 1
    assert await reconciling.run(Method.PAYPAL, day) == 0
    assert await differs(world, payment_id) == [["amount"]], "found twice, one case"


async def test_an_account_without_the_right_to_the_list_is_compared_row_by_row(world: Any) -> None:
    _order, payment_id = await paid(world)
    world.mine = [payment_id]
    day = await today(world, payment_id)
    refusal = {"status": 403, "body": {"name": "NOT_AUTHORIZED", "debug_id": "x"}}
    await world.faults(world.paypal, {"match": {"path": "/v1/reporting/transactions*"}} | refusal)
    assert await world.billing.tools.reconciling.run(Method.PAYPAL, day) == 0
    runs = await world.billing.rows("select * from reconciliations where day = $1 and provider = 'paypal'", d=day)
    assert (runs[0]["checked"], runs[0]["is_listed"]) == (1, False)


async def test_mobile_money_is_compared_reference_by_reference(world: Any) -> None:
    billing = world.billing
    payments = []
    for _ in range(2):
        buyer = billing.client()
        order = await place(buyer)
        started = await by_momo(buyer, order)
        await until_paid(buyer, order)
        payments.append(UUID(started["payment_id"]))
    world.mine = payments
    rows = await billing.rows("select provider_reference r from payments where id = $1", i=payments[1])
    await world.faults(
        world.momo,
        {
            "match": {"path": f"/collection/v1_0/requesttopay/{rows[0]['r']}"},
            "status": 404,
            "body": {"code": "RESOURCE_NOT_FOUND", "message": "Requested resource was not found."},
        },
    )
    day = await today(world, payments[0])
    assert await billing.tools.reconciling.run(Method.MTN_MOMO, day) == 1
    assert [await differs(world, each) for each in payments] == [[], [["state"]]]


async def test_a_ledger_that_says_another_sum_than_the_payment_becomes_a_case(world: Any) -> None:
    order, payment_id = await paid(world)
    world.mine = [payment_id]
    async with world.billing.superuser() as connection:
        await connection.execute("alter table ledger_postings disable trigger user")
        await connection.execute(
            "update ledger_postings set amount_minor = amount_minor - 1 where account = 'clearing:paypal' and entry_id ="
            " (select id from ledger_entries where kind = 'payment' and source_id = $1)",
            payment_id,
        )
        await connection.execute("alter table ledger_postings enable trigger user")
    day = await today(world, payment_id)
    assert await world.billing.tools.reconciling.run(Method.PAYPAL, day) == 1
    assert await differs(world, payment_id) == [["ledger"]]
    assert order["total_amount"] == "50000"


async def test_the_timer_compares_the_last_whole_day_once_its_lists_have_settled(world: Any) -> None:
    _order, payment_id = await paid(world)
    world.mine = [payment_id]
    (await capture_of(world, payment_id)).value = Decimal("1.00")
    day = await today(world, payment_id)
    at_four = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=4)
    world.billing.clock.advance(at_four - timedelta(minutes=1) - world.billing.clock.now())
    await world.billing.tools.reconciling.run_due()
    assert await differs(world, payment_id) == []
    world.billing.clock.advance(timedelta(minutes=2))
    await world.billing.tools.reconciling.run_due()
    assert await differs(world, payment_id) == [["amount"]]
