"""A worker is killed while it handles a webhook that brings money: the next one ends it, and everything is there once.

The same with whole stacks, at every point and for every part, is in `tests/crashes`, which takes much longer.
"""

import signal
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import by_paypal, place, verify
from common.testing import eventually

from services.billing.tests.integration.dying_worker import killed_at

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STEPS = [
    ("billing.webhook.taken", "pending"),
    ("billing.state.applied", "pending"),
    ("billing.state.committed", "paid"),
    ("billing.webhook.handled", "paid"),
]
"""Where it dies, and how the payment of the order stands then: what was not committed is as if it had not been."""

ONCE = {
    "payment": "select 1 from payments where order_id = $1 and status = 'completed'",
    "invoice": "select 1 from invoices where order_id = $1",
    "period": "select 1 from subscription_periods where order_id = $1",
    "allocation": "select 1 from payment_allocations where order_id = $1",
    "payment in the ledger": (
        "select 1 from ledger_entries e join payments p on p.id = e.source_id where p.order_id = $1"
        " and e.kind = 'payment'"
    ),
    "fact": ("select 1 from outbox where type = 'payment.confirmed.v1' and (envelope->'data'->>'order_id')::uuid = $1"),
}
UNDONE = "select 1 from webhook_events where handled_at is null and position($1 in convert_from(body, 'UTF8')) > 0"
"""Webhooks about an order at PayPal that nobody has noted as done; other tests leave theirs, of times to come."""
OTHERS = "update webhook_events set handled_at = now() where handled_at is null returning 1"
"""What other tests left: whoever is to die must not do so over theirs."""
CLAIMS_ARE_OVER = timedelta(minutes=30)


async def _counts(world: Any, order_id: UUID) -> dict[str, int]:
    return {name: len(await world.billing.rows(query, id=order_id)) for name, query in ONCE.items()}


@pytest.mark.invariant("S22")
@pytest.mark.invariant("S44")
@pytest.mark.parametrize(("point", "standing"), STEPS)
async def test_what_a_killed_worker_left_is_ended_once_by_the_next(world: Any, point: str, standing: str) -> None:
    billing = world.billing
    await billing.rows(OTHERS)
    buyer = billing.client()
    order = await place(buyer)
    order_id = UUID(order["id"])
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])
    reference = _reference(started)
    await eventually(lambda: billing.rows(UNDONE, r=reference), what="the webhook to be stored")

    assert await killed_at(billing, point) == -signal.SIGKILL

    rows = await billing.rows("select payment_status from orders where id = $1", id=order_id)
    assert rows[0]["payment_status"] == standing
    assert set((await _counts(world, order_id)).values()) == {int(standing == "paid")}
    assert await billing.rows(UNDONE, r=reference), "nobody has noted that it is done"

    async def ended() -> bool:
        billing.clock.advance(CLAIMS_ARE_OVER)
        await billing.watch.handle_webhooks()
        await billing.watch.ask_due()
        return not await billing.rows(UNDONE, r=reference) and (await _counts(world, order_id))["payment"] > 0

    await eventually(ended, what="the next worker to end it")
    assert (await verify(buyer, order))["payment_status"] == "paid"
    assert await _counts(world, order_id) == dict.fromkeys(ONCE, 1)
    captures = await world.requests(world.paypal, f"/v2/checkout/orders/{reference}/capture")
    assert len([entry for entry in captures if entry["status"] == 201]) == 1


def _reference(started: dict[str, Any]) -> str:
    return str(started["redirect_url"]).rpartition("token=")[2]
