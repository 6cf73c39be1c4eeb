"""What an owner decides about his subscription, and renewals that Mobile Money is asked for."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from billing.testing import ORDERS, Billing, pay_by_transfer, place, subscribed, until_paid
from common.ids import uuid7
from common.testing import eventually

pytestmark = pytest.mark.integration

SUBSCRIPTION = "/api/tenants/subscription/"
DAY = timedelta(days=1)
NUMBER = "237670000001"


async def read(client: Any) -> dict[str, Any]:
    answer = await client.get(SUBSCRIPTION)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def act(client: Any, action: str, **body: Any) -> Any:
    return await client.post(f"{SUBSCRIPTION}{action}/", **({"json": body} if body else {}))


async def to_end(billing: Billing, client: Any, *, days: float) -> None:
    """Move the time to so many days after the end (before it, if negative), and take what is due."""
    ends_at = datetime.fromisoformat((await read(client))["ends_at"])
    billing.clock.advance(ends_at + days * DAY - billing.clock.now())
    await billing.calendar.run_due()


async def payments_of(billing: Billing, tenant_id: UUID) -> list[dict[str, Any]]:
    return await billing.rows(
        "select p.* from payments p join orders o on o.id = p.order_id"
        " where p.tenant_id = $1 and p.method = 'mtn_momo' and o.kind = 'renewal'",
        t=tenant_id,
    )


async def test_a_subscription_is_read_by_its_members_and_by_nobody_else(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    viewer = billing.client(tenant_id=tenant_id, roles=["viewer"])
    found = await read(viewer)
    assert (found["status"], found["plan"]["name"], found["cancel_at_period_end"]) == ("active", "silver", False)
    assert [period["ends_at"] for period in found["periods"]] == [found["ends_at"]]
    reminder = datetime.fromisoformat(found["next_reminder_at"])
    assert reminder == datetime.fromisoformat(found["ends_at"]) - 7 * DAY
    stranger = await billing.client(tenant_id=uuid7(), roles=["owner"]).get(SUBSCRIPTION)
    assert (stranger.status_code, stranger.json()["code"]) == (404, "subscription_not_found")
    nobody = await billing.client().get(SUBSCRIPTION)
    assert (nobody.status_code, nobody.json()["code"]) == (403, "no_active_organization")
    for role in ("admin", "member", "viewer"):
        member = billing.client(tenant_id=tenant_id, roles=[role])
        for action, body in (("cancel", {}), ("resume", {}), ("auto_renew", {"enabled": False})):
            assert (await act(member, action, **body)).status_code == 403, (role, action)
    assert (await read(owner)) == found


async def test_a_cancelled_subscription_works_to_its_end_and_reminds_nobody(billing: Billing) -> None:
    owner, tenant_id = await subscribed(billing)
    cancelled = (await act(owner, "cancel")).json()
    assert (cancelled["cancel_at_period_end"], cancelled["next_reminder_at"]) == (True, None)
    assert (await act(owner, "cancel")).json() == cancelled
    await to_end(billing, owner, days=-2)
    assert (await read(owner))["status"] == "active"
    await to_end(billing, owner, days=0)
    ended = await read(owner)
    assert (ended["status"], ended["reason"]) == ("ended", "cancelled")
    rows = await billing.rows("select type from outbox where tenant_id = $1 and type like 'subscription%'", t=tenant_id)
    assert [row["type"] for row in rows] == ["subscription.ended.v1"]
    rows = await billing.rows("select key from mails where tenant_id = $1 and key like 'subscription%'", t=tenant_id)
    assert len(rows) == 1
    for action in ("cancel", "resume"):
        refused = await act(owner, action)
        assert (refused.status_code, refused.json()["code"]) == (409, "subscription_ended")
    await pay_by_transfer(billing, owner, await place(owner))
    assert (await read(owner))["status"] == "active"
    assert (await read(owner))["cancel_at_period_end"] is False


async def test_a_cancellation_that_is_taken_back_has_no_effect(billing: Billing) -> None:
    owner, _tenant_id = await subscribed(billing)
    before = await read(owner)
    await act(owner, "cancel")
    assert (await act(owner, "resume")).json() == before
    await to_end(billing, owner, days=0)
    assert (await read(owner))["status"] == "past_due"


async def test_an_agreed_renewal_asks_the_phone_once_and_goes_on(world: Any) -> None:
    billing = world.billing
    owner, tenant_id = await subscribed(billing)
    _other, other = await subscribed(billing)
    for body, code in (
        ({"enabled": True}, "phone_number_required"),
        ({"enabled": True, "phone_number": "12"}, "phone_number_invalid"),
    ):
        assert (await act(owner, "auto_renew", **body)).json()["code"] == code
    agreed = (await act(owner, "auto_renew", enabled=True, phone_number=NUMBER)).json()
    assert (agreed["auto_renew"], agreed["auto_renew_phone"]) == (True, "•••001")
    ends_at = agreed["ends_at"]
    await to_end(billing, owner, days=-4)
    assert await payments_of(billing, tenant_id) == []
    billing.clock.advance(DAY)
    await asyncio.gather(*(billing.calendar.run_due() for _ in range(50)))
    (payment,) = await payments_of(billing, tenant_id)
    assert await payments_of(billing, other) == []
    asked = [
        request
        for request in await world.requests(world.momo, "/collection/v1_0/requesttopay")
        if str(payment["id"]) in request["body"]
    ]
    assert len(asked) == 1
    renewal = await owner.get(f"{ORDERS}{payment['order_id']}/")
    assert (await until_paid(owner, renewal.json()))["status"] == "completed"
    after = await read(owner)
    assert after["periods"][0]["starts_at"] == ends_at
    assert after["auto_renew"] is True
    await billing.calendar.run_due()
    assert len(await payments_of(billing, tenant_id)) == 1


async def test_a_renewal_whose_call_was_lost_is_asked_for_again_with_its_keys(world: Any) -> None:
    billing = world.billing
    owner, tenant_id = await subscribed(billing)
    await act(owner, "auto_renew", enabled=True, phone_number=NUMBER)
    await world.faults(world.momo, {"target": "request", "match": {"path": "*/requesttopay"}, "drop": "before"})
    await to_end(billing, owner, days=-3)
    (payment,) = await payments_of(billing, tenant_id)
    await world.faults(world.momo)

    async def paid() -> bool:
        billing.clock.advance(timedelta(seconds=20))
        await billing.watch.ask_due()
        return len((await read(owner))["periods"]) == 2

    await eventually(paid, what="the renewal to be paid")
    assert [row["id"] for row in await payments_of(billing, tenant_id)] == [payment["id"]]


async def test_a_refused_renewal_is_not_asked_for_again_and_can_be_paid_otherwise(world: Any) -> None:
    billing = world.billing
    owner, tenant_id = await subscribed(billing)
    # This number's payer refuses.
    await act(owner, "auto_renew", enabled=True, phone_number="46733123451")
    await to_end(billing, owner, days=-3)

    async def failed() -> bool:
        billing.clock.advance(timedelta(seconds=20))
        await billing.watch.ask_due()
        return [row["status"] for row in await payments_of(billing, tenant_id)] == ["failed"]

    await eventually(failed)
    await to_end(billing, owner, days=-1)
    (payment,) = await payments_of(billing, tenant_id)
    renewal = (await owner.get(f"{ORDERS}{payment['order_id']}/")).json()
    assert (await read(owner))["renewal_order_id"] == renewal["id"]
    await pay_by_transfer(billing, owner, renewal)
    assert len((await read(owner))["periods"]) == 2


async def test_consent_that_was_withdrawn_or_a_cancellation_charges_nobody(billing: Billing) -> None:
    withdrawn, first = await subscribed(billing)
    cancelled, second = await subscribed(billing)
    for owner in (withdrawn, cancelled):
        await act(owner, "auto_renew", enabled=True, phone_number=NUMBER)
    answer = (await act(withdrawn, "auto_renew", enabled=False)).json()
    assert (answer["auto_renew"], answer["auto_renew_phone"]) == (False, None)
    await act(cancelled, "cancel")
    await to_end(billing, withdrawn, days=-1)
    assert await payments_of(billing, first) == await payments_of(billing, second) == []
    rows = await billing.rows("select action from audit_log where tenant_id = $1 order by at", t=first)
    assert [row["action"] for row in rows if row["action"].startswith("subscription.")] == [
        "subscription.auto_renewal_agreed",
        "subscription.auto_renewal_withdrawn",
    ]
