"""A process is killed between two steps of a refund; the money goes back once, and all that follows is there once.

Finance repeats what got no answer; everything else is the janitor's, the relay's and the inbox's.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pyotp
import pytest
from common.crash_points import Deed
from devstack.customer import Refused
from devstack.patient_customer import PatientCustomer
from devstack.stack import Stack

from tests.crashes.purchases import Purchase, a_customer, buy
from tests.crashes.test_purchases import restart

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SENDING = ("billing-api", "billing-worker")
"""Whoever approves sends, and the janitor after him: whichever comes first dies."""

TELLING = ("mtn_momo", "billing.refund.sent")
"""The money is on its way and nobody here knows; the others are `long`."""

CASES = [
    ("paypal", "billing.refund.approved"),
    ("mtn_momo", "billing.refund.claimed"),
    ("paypal", "billing.refund.sending"),
    ("paypal", "billing.refund.sent"),
    TELLING,
    ("mtn_momo", "billing.refund.applied"),
    ("paypal", "billing.refund.committed"),
]


@asynccontextmanager
async def finance(stack: Stack, number: int) -> AsyncIterator[PatientCustomer]:
    """Sign a person of the platform in; a one-time code is accepted once."""
    who = stack.endpoints["staff"][number]
    async with PatientCustomer(stack.endpoints["gateway"], who["email"], who["password"]) as person:
        for _ in range(3):
            try:
                await person.log_in(totp_code=pyotp.TOTP(who["totp_secret"]).now())
                break
            except Refused:
                await asyncio.sleep(31 - time.time() % 30)
        yield person


async def refund_while_dying(stack: Stack, purchase: Purchase, point: str) -> str:
    """Ask for a refund and let it go while both parts are armed; returns its id."""
    query = "SELECT id FROM payments WHERE tenant_id = $1 AND status = 'completed'"
    (paid,) = await stack.rows("billing", query, purchase.tenant_id)
    async with finance(stack, 0) as maker, finance(stack, 1) as checker:
        path = f"/api/admin/payments/{paid['id']}/refunds/"
        asked = await maker.call("POST", path, {"reason": "the customer changed his mind"}, expect=201)
        assert asked["channel"] == "provider"
        await restart(stack, SENDING, {point: Deed.KILL})
        died: list[str] = []

        async def start_again(part: str) -> None:
            assert await stack.dead(part, seconds=200) == -signal.SIGKILL
            died.append(part)
            stack.spawn(part)

        watching = [asyncio.create_task(start_again(part)) for part in SENDING]
        try:
            await approved(checker, asked["id"])
            await done(stack, purchase)
        finally:
            for watch in watching:
                watch.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
    assert died, f"nobody reached {point}"
    await restart(stack, set(SENDING) - set(died))
    return str(asked["id"])


async def approved(checker: PatientCustomer, refund_id: str) -> None:
    """Let the refund go; where the answer was lost, it has been let go already."""
    try:
        await checker.call("POST", f"/api/admin/refunds/{refund_id}/approve/", {"reason": "checked with support"})
    except Refused as refused:
        assert refused.answer.status_code == httpx.codes.CONFLICT, refused
        assert refused.answer.json()["code"] == "refund_state"


async def done(stack: Stack, purchase: Purchase) -> None:
    """Wait until everybody knows that the money went back."""
    async with asyncio.timeout(120):
        while True:
            ended = await stack.rows(
                "tenancy",
                "SELECT 1 FROM organizations WHERE tenant_id = $1 AND status = 'expired'",
                purchase.tenant_id,
            )
            if ended:
                return
            await asyncio.sleep(0.3)


ONCE = {
    "refunds": "SELECT 1 FROM refunds WHERE tenant_id = $1 AND status = 'completed'",
    "credit notes": "SELECT 1 FROM credit_notes WHERE tenant_id = $1",
    "facts": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'payment.refunded.v1'",
    "mails": "SELECT 1 FROM mails WHERE tenant_id = $1 AND key LIKE 'refund_sent:%'",
    "ends": "SELECT 1 FROM outbox WHERE tenant_id = $1 AND type = 'subscription.ended.v1'",
}

BALANCES = """
SELECT account FROM ledger_postings WHERE tenant_id = $1 GROUP BY account, currency HAVING sum(amount_minor) <> 0
"""


async def sent_back(stack: Stack, refund_id: str) -> int:
    """How often MTN has sent this money back."""
    (row,) = await stack.rows("billing", "SELECT provider_reference FROM refunds WHERE id = $1", refund_id)
    async with httpx.AsyncClient(trust_env=False, base_url=stack.endpoints["mtn_momo"]) as http:
        moved = (await http.get("/_sim/disbursement")).json()["refunds"]
    wanted = {"reference": row["provider_reference"], "status": "SUCCESSFUL"}
    return len([one for one in moved if wanted.items() <= one.items()])


async def survives(stack: Stack, method: str, point: str) -> None:
    async with await a_customer(stack) as customer:
        purchase = await buy(customer, method)
    refund_id = await refund_while_dying(stack, purchase, point)
    found = {name: len(await stack.rows("billing", query, purchase.tenant_id)) for name, query in ONCE.items()}
    assert found == dict.fromkeys(ONCE, 1)
    assert await stack.rows("billing", BALANCES, purchase.tenant_id) == []
    if method == "mtn_momo":
        assert await sent_back(stack, refund_id) == 1


@pytest.mark.invariant("S31")
@pytest.mark.invariant("S44")
async def test_a_refund_survives_a_death_where_it_hurts_most(stack: Stack) -> None:
    await survives(stack, *TELLING)


@pytest.mark.long
@pytest.mark.invariant("S31")
@pytest.mark.invariant("S44")
@pytest.mark.parametrize(("method", "point"), [case for case in CASES if case != TELLING])
async def test_a_refund_survives_a_death_at_every_step(stack: Stack, method: str, point: str) -> None:
    await survives(stack, method, point)
