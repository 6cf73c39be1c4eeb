"""News that nobody sent, that somebody altered or that is old: no row of any table is another afterwards.

What they are refused for is in `test_webhook_checks` and `unit/test_paypal_webhooks`; here is that nothing moves.
"""

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import by_momo, by_paypal, place, verify
from common.testing import eventually
from prometheus_client import REGISTRY

pytestmark = pytest.mark.integration
ASKING = {"polls", "last_poll_at", "next_poll_at"}
"""Columns of a payment that say when we ask next: a hint may hasten that, and nothing else."""
PASSING = {"provider_budgets"}
AT_ONCE = 6
"""Copies of each forgery that arrive at a time: more than fifty in all."""


async def everything(billing: Any) -> dict[str, list[str]]:
    """Return all rows of all tables, but for when we ask next and what passes with time."""
    async with billing.superuser() as connection:
        names = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        return {
            name: sorted(
                json.dumps({column: str(value) for column, value in row.items() if column not in ASKING})
                for row in await connection.fetch(f'select * from "{name}"')
            )
            for (name,) in names
            if name not in PASSING
        }


def _of(rows: dict[str, list[str]], tenant_id: UUID) -> dict[str, list[str]]:
    return {name: [row for row in kept if str(tenant_id) in row] for name, kept in rows.items()}


def changed(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the rows that are another now, by table."""
    rows = {table: sorted(set(before[table]) ^ set(after[table])) for table in before}
    return {table: different for table, different in rows.items() if different}


def counted(provider: str, outcome: str) -> float:
    labels = {"provider": provider, "outcome": outcome}
    return REGISTRY.get_sample_value("billing_webhooks_total", labels) or 0.0


async def _bought(world: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return a buyer whose order PayPal has been paid for, and the payment; every webhook has been handled."""
    buyer = world.billing.client()
    order = await place(buyer)
    started = await by_paypal(buyer, order)
    await world.approve(started["redirect_url"])

    async def told() -> bool:
        await world.billing.watch.handle_webhooks()
        world.billing.clock.advance(timedelta(seconds=1))
        await verify(buyer, order)
        rows = await world.billing.rows(
            "select event_type from webhook_events where handled_at is not null"
            " and position($1 in convert_from(body, 'UTF8')) > 0",
            p=started["payment_id"],
        )
        return {row["event_type"] for row in rows} >= {"CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED"}

    await eventually(told)
    return buyer, order, started


async def _delivery(billing: Any, payment_id: str, event_type: str) -> tuple[bytes, dict[str, str]]:
    rows = await billing.rows(
        "select body, headers from webhook_events where event_type = $2 and position($1 in convert_from(body, 'UTF8')) > 0",
        p=payment_id,
        t=event_type,
    )
    return rows[0]["body"], json.loads(rows[0]["headers"]) | {"content-type": "application/json"}


@pytest.mark.invariant("S27")
async def test_forged_and_altered_webhooks_change_no_row_and_are_counted(world: Any) -> None:
    billing = world.billing
    _, _, started = await _bought(world)
    victim = await place(billing.client())
    body, headers = await _delivery(billing, started["payment_id"], "PAYMENT.CAPTURE.COMPLETED")
    front = billing.client(anonymous=True)
    event = json.loads(body)
    dearer = body.replace(b'"76.22"', b'"0.01"')
    assert dearer != body
    forgeries = [
        (dearer, headers),
        (body.replace(b"{", b"{ ", 1), headers),
        (json.dumps(event).encode(), headers),
        (body.replace(event["id"].encode(), b"WH-NEW"), headers),
        (body, headers | {"paypal-transmission-id": str(uuid4())}),
        (body, headers | {"paypal-transmission-time": "2020-01-01T00:00:00Z"}),
        (body, headers | {"paypal-cert-url": "https://paypal.com.example/v1/notifications/certs/x"}),
        (body, {"content-type": "application/json"}),
        (json.dumps({"id": "WH-1", "resource": {"custom_id": victim["id"]}}).encode(), headers),
    ]
    while await billing.watch.handle_webhooks():
        pass  # what the purchase set going is told of in more webhooks than the one that paid it
    before, refused = await everything(billing), counted("paypal", "rejected")
    answers = await asyncio.gather(
        *(
            front.post("/webhooks/paypal/", content=content, headers=with_headers)
            for content, with_headers in forgeries * AT_ONCE
        )
    )
    for answer in answers:
        assert (answer.status_code, answer.json().get("code")) == (403, "signature_invalid"), answer.text
    assert await billing.watch.handle_webhooks() == 0
    assert changed(before, await everything(billing)) == {}
    assert counted("paypal", "rejected") == refused + AT_ONCE * len(forgeries)


@pytest.mark.invariant("S27")
@pytest.mark.invariant("S22")
async def test_an_old_webhook_with_a_good_signature_changes_nothing_that_paypal_does_not_say_now(world: Any) -> None:
    """Its event is taken out of our table first, so that only what the order says now can stop it."""
    billing = world.billing
    _, _, started = await _bought(world)
    captured = await _delivery(billing, started["payment_id"], "PAYMENT.CAPTURE.COMPLETED")
    approved = await _delivery(billing, started["payment_id"], "CHECKOUT.ORDER.APPROVED")
    staff, other = billing.client(staff=["finance"]), billing.client(staff=["finance"])
    asked = await staff.post(
        f"/api/admin/payments/{started['payment_id']}/refunds/", json={"reason": "asked by the customer"}
    )
    assert asked.status_code == 201, asked.text
    done = await other.post(f"/api/admin/refunds/{asked.json()['id']}/approve/", json={"reason": "checked"})
    assert done.status_code == 200, done.text

    async def gone_back() -> bool:
        await billing.watch.handle_webhooks()
        rows = await billing.rows("select status from payments where id = $1", id=UUID(started["payment_id"]))
        return bool(rows[0]["status"] == "refunded")

    await eventually(gone_back)
    async with billing.superuser() as connection:
        await connection.execute("delete from webhook_events")
    before = await everything(billing)
    front = billing.client(anonymous=True)
    said = await asyncio.gather(
        *(front.post("/webhooks/paypal/", content=body, headers=headers) for body, headers in (captured, approved) * 25)
    )
    assert Counter((answer.status_code, answer.json()["status"]) for answer in said) == {
        (200, "stored"): 2,
        (200, "known"): 48,
    }
    billing.clock.advance(timedelta(minutes=20))
    assert await billing.watch.handle_webhooks() == 2
    await billing.watch.ask_due()
    after = await everything(billing)
    assert len(after.pop("webhook_events")) == 2
    before.pop("webhook_events")
    mine = (await billing.rows("select tenant_id from payments where id = $1", id=UUID(started["payment_id"])))[0]
    # What is open of other customers' is asked about too, and may change.
    assert _of(after, mine["tenant_id"]) == _of(before, mine["tenant_id"])


@pytest.mark.invariant("S28")
async def test_forged_callbacks_change_no_row_whatever_they_say_and_strangers_are_counted(world: Any) -> None:
    billing = world.billing
    buyer = billing.client()
    # This number stays pending at MTN for ever.
    started = await by_momo(buyer, await place(buyer), "46733123454")
    rows = await billing.rows("select callback_token from payments where id = $1", id=UUID(started["payment_id"]))
    front = billing.client(anonymous=True)
    lies = [
        {"status": "SUCCESSFUL", "amount": "50000", "currency": "XAF", "externalId": started["payment_id"]},
        {"status": "FAILED", "reason": "APPROVAL_REJECTED"},
        [],
        "SUCCESSFUL",
    ]
    before, taken, unknown = await everything(billing), counted("mtn_momo", "taken"), counted("mtn_momo", "unknown")
    for lie in lies:
        for method in ("PUT", "POST"):
            billing.clock.advance(timedelta(seconds=2))
            mine = await front.request(method, f"/webhooks/mtn-momo/{rows[0]['callback_token']}", json=lie)
            assert mine.status_code == 200
            strange = await front.request(method, f"/webhooks/mtn-momo/{uuid4().hex}", json=lie)
            assert (strange.status_code, strange.json()["code"]) == (404, "callback_unknown")
    assert changed(before, await everything(billing)) == {}
    assert counted("mtn_momo", "taken") == taken + 2 * len(lies)
    assert counted("mtn_momo", "unknown") == unknown + 2 * len(lies)
