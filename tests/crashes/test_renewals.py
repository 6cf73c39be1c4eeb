"""The worker is killed between two steps of an agreed renewal; the phone is asked once and one period follows.

A month is not waited for: the customer's dates are moved back, as if he had bought so much earlier, on the day of
the month that follows from it.
"""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from devstack.customer import until
from devstack.stack import Stack

from tests.crashes.dying import NOT_SQUARE, at_rest, dying, numbers
from tests.crashes.purchases import PATIENCE_SECONDS, Purchase, a_customer, buy, right_once

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WORKER = ("billing-worker",)
PHONE = "237670000001"

BEFORE_THE_END = timedelta(days=2, hours=12)
"""One reminder is due, and Mobile Money is to be asked; the last reminder is not due yet."""

MOVED = """
WITH moved AS (SELECT ends_at - now() - $2::interval AS by FROM subscriptions WHERE tenant_id = $1),
periods AS (
    UPDATE subscription_periods SET starts_at = starts_at - by, ends_at = ends_at - by,
        anchor_day = extract(day FROM ends_at - by) FROM moved WHERE tenant_id = $1
)
UPDATE subscriptions SET started_at = started_at - by, ends_at = ends_at - by, next_step_at = now(),
    anchor_day = extract(day FROM ends_at - by) FROM moved
WHERE tenant_id = $1 RETURNING ends_at
"""

WAITED_OUT = """
WITH leader AS (UPDATE leader_leases SET held_until = now() WHERE name = 'billing.calendar')
UPDATE subscriptions SET next_step_at = now() WHERE tenant_id = $1 RETURNING tenant_id
"""
"""The minutes for which a dead worker's claim is respected are over, and it does not lead any more."""

COUNTED = {
    "renewals": "SELECT 1 FROM orders WHERE tenant_id = $1 AND kind = 'renewal'",
    "renewals completed": "SELECT 1 FROM orders WHERE tenant_id = $1 AND kind = 'renewal' AND status = 'completed'",
    "payments": "SELECT 1 FROM payments WHERE tenant_id = $1",
    "payments completed": "SELECT 1 FROM payments WHERE tenant_id = $1 AND status = 'completed'",
    "periods": "SELECT 1 FROM subscription_periods WHERE tenant_id = $1",
    "invoices": "SELECT 1 FROM invoices WHERE tenant_id = $1",
    "subscription.renewed": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'subscription.renewed.v1'",
    "subscription.renewal_due": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'subscription.renewal_due.v1'",
    "reminders": "SELECT 1 FROM mails WHERE tenant_id = $1 AND key LIKE 'renewal_due:%'",
}
RENEWED = dict.fromkeys(COUNTED, 1) | dict.fromkeys(["payments", "payments completed", "periods", "invoices"], 2)

POINTS = ["billing.calendar.claimed", "billing.charge.committed"]


async def asked(stack: Stack, payment_id: str) -> int:
    """How often MTN accepted to ask the phone for this payment."""
    async with httpx.AsyncClient(trust_env=False, base_url=stack.endpoints["mtn_momo"]) as http:
        seen = (await http.get("/_sim/requests", params={"path": "/collection/v1_0/requesttopay"})).json()["results"]
    return len([one for one in seen if payment_id in one["body"] and one["status"] == httpx.codes.ACCEPTED])


async def renewed(stack: Stack, purchase: Purchase, died: list[str]) -> None:
    """Wait until one renewal is paid, told and mailed, and nothing is left to do."""
    waited = False

    async def found() -> dict[str, Any]:
        nonlocal waited
        if died and not waited:
            waited = bool(await stack.rows("billing", WAITED_OUT, purchase.tenant_id))
        return await numbers(stack, purchase.tenant_id, COUNTED)

    expected = at_rest(RENEWED)
    assert await until(found, lambda now: now == expected, seconds=PATIENCE_SECONDS) == expected


@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S23")
@pytest.mark.invariant("S37")
@pytest.mark.invariant("S44")
@pytest.mark.parametrize("point", POINTS)
async def test_a_renewal_survives_a_death_between_two_steps(stack: Stack, point: str) -> None:
    async with await a_customer(stack) as customer:
        purchase = await buy(customer, "mtn_momo")
        await right_once(stack, purchase)
        await customer.post("/api/tenants/subscription/auto_renew/", {"enabled": True, "phone_number": PHONE})
    async with dying(stack, WORKER, point) as died:
        (moved,) = await stack.rows("billing", MOVED, purchase.tenant_id, BEFORE_THE_END)
        await renewed(stack, purchase, died)
    query = "SELECT order_id, starts_at, ends_at FROM subscription_periods WHERE tenant_id = $1 ORDER BY starts_at"
    first, second = await stack.rows("billing", query, purchase.tenant_id)
    assert first["ends_at"] == second["starts_at"] == moved["ends_at"]
    query = "SELECT period_end FROM entitlements WHERE tenant_id = $1"
    assert await stack.rows("tenancy", query, purchase.tenant_id) == [{"period_end": second["ends_at"]}]
    query = "SELECT id FROM payments WHERE tenant_id = $1 AND order_id = $2"
    (payment,) = await stack.rows("billing", query, purchase.tenant_id, second["order_id"])
    assert await asked(stack, str(payment["id"])) == 1
    assert await stack.rows("billing", NOT_SQUARE, purchase.tenant_id) == []
