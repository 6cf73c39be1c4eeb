"""A process is killed between two steps of a purchase; the purchase ends by itself, once.

The client repeats what got no answer and asks on; everything else is the janitor's, the relay's, the inbox's and the
provider's repeating. S46's one welcome mail is one message: SMTP cannot say whether a server that was about to answer
has taken a mail, so where the sender dies exactly there the same message, with the same Message-ID, comes twice.
"""

import asyncio
import signal
from collections.abc import Iterable
from dataclasses import dataclass

import httpx
import pytest
from common.crash_points import Deed
from devstack.stack import Stack

from tests.crashes.purchases import Customer, Purchase, a_customer, buy, right_once

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ASKING = ("billing-api", "billing-worker")
"""Both ask providers, and both settle: whichever comes first dies, and the other after it."""


TRIES = 4


@dataclass(frozen=True)
class Case:
    """Who dies at which point of which purchase."""

    point: str
    parts: tuple[str, ...]
    method: str

    def __str__(self) -> str:
        return f"{self.point}-{self.parts[0]}-{self.method}"


def _cases(parts: tuple[str, ...], methods: Iterable[str], *points: str) -> list[Case]:
    return [Case(point, parts, method) for point in points for method in methods]


TELLING = [
    # The money is taken and nobody here knows.
    Case("billing.provider.observed", ASKING, "paypal"),
    # RabbitMQ has the fact and the outbox does not know.
    Case("common.outbox.published", ("billing-worker",), "mtn_momo"),
    # Everything that follows from a fact is written and nothing is committed.
    Case("common.fact.applied", ("tenancy-worker",), "paypal"),
]
"""One of each kind of step; the others are `long`."""

BOTH = ("paypal", "mtn_momo")

ALL = [
    *_cases(("billing-api",), ["mtn_momo"], "billing.order.placed"),
    *_cases(("billing-api",), BOTH, "billing.attempt.recorded", "billing.provider.started"),
    *_cases(
        ASKING,
        BOTH,
        "billing.question.claimed",
        "billing.provider.observed",
        "billing.payment.booked",
        "billing.invoice.added",
        "billing.state.applied",
        "billing.state.committed",
    ),
    *_cases(("billing-api",), ["paypal"], "billing.webhook.inserted", "billing.webhook.stored"),
    *_cases(("billing-worker",), ["paypal"], "billing.webhook.taken", "billing.webhook.handled"),
    *_cases(("billing-api",), ["mtn_momo"], "billing.callback.matched"),
    *_cases(("billing-worker",), ["mtn_momo"], "common.outbox.claimed", "common.outbox.published"),
    *_cases(("billing-worker",), ["paypal"], "common.outbox.marked"),
    *_cases(("tenancy-worker",), ["mtn_momo"], "common.outbox.claimed", "common.outbox.marked"),
    *_cases(("tenancy-worker",), ["paypal"], "common.outbox.published"),
    *_cases(("tenancy-worker",), ["mtn_momo"], "common.delivery.received", "common.delivery.stored"),
    *_cases(("tenancy-worker",), ["paypal"], "common.delivery.acknowledged", "common.fact.applied"),
    *_cases(("tenancy-worker",), ["mtn_momo"], "common.fact.committed"),
    *_cases(("tenancy-worker",), ["mtn_momo"], "tenancy.organization.added", "tenancy.provisioning.told"),
    *_cases(("billing-worker",), ["mtn_momo"], "common.delivery.received", "common.delivery.stored"),
    *_cases(("billing-worker",), ["mtn_momo"], "common.delivery.acknowledged", "common.fact.committed"),
    *_cases(("billing-worker",), ["paypal"], "common.fact.applied"),
    *_cases(("backup-engine-worker",), ["mtn_momo"], "common.delivery.stored", "common.fact.applied"),
    *_cases(("tenancy-worker",), ["mtn_momo"], "common.mail.claimed", "common.mail.sent", "common.mail.marked"),
    *_cases(("billing-worker",), ["mtn_momo"], "common.mail.sent"),
    *_cases(("gateway-api",), BOTH, "gateway.answer.received"),
]


async def restart(stack: Stack, parts: Iterable[str], crash_points: dict[str, Deed] | None = None) -> None:
    """Replace processes, the old ones killed if they still run.

    One that dies at its point before it is ready met what an earlier purchase left to be done, and is started again.
    """
    for part in parts:
        stack.send(part, signal.SIGKILL)
        await stack.dead(part)
        for tries_left in range(TRIES - 1, -1, -1):
            stack.spawn(part, crash_points=crash_points)
            try:
                await stack.ready(part)
                break
            except RuntimeError:
                if not (crash_points and tries_left and await stack.dead(part) == -signal.SIGKILL):
                    raise
                await take_in(stack, part)


async def take_in(stack: Stack, part: str) -> None:
    """Let a part live for a moment: what its armed forerunner died of comes again, to whoever is next."""
    stack.spawn(part)
    await stack.ready(part)
    await asyncio.sleep(1)
    stack.send(part, signal.SIGKILL)
    await stack.dead(part)


async def buy_while_dying(stack: Stack, customer: Customer, case: Case) -> Purchase:
    """Buy while the case's parts are armed; start each that dies again, and disarm the others in the end."""
    await restart(stack, case.parts, {case.point: Deed.KILL})
    died = []

    async def start_again(part: str) -> None:
        assert await stack.dead(part, seconds=200) == -signal.SIGKILL
        died.append(part)
        stack.spawn(part)

    watching = [asyncio.create_task(start_again(part)) for part in case.parts]
    try:
        purchase = await buy(customer, case.method)
        await asyncio.wait(watching, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for watch in watching:
            watch.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    assert died, f"nobody reached {case.point}"
    await restart(stack, set(case.parts) - set(died))
    return purchase


async def survives(stack: Stack, case: Case) -> None:
    async with await a_customer(stack) as customer:
        purchase = await buy_while_dying(stack, customer, case)
    await right_once(stack, purchase, mails_twice=case.point == "common.mail.sent")


@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S44")
@pytest.mark.invariant("S45")
@pytest.mark.invariant("S46")
@pytest.mark.parametrize("case", TELLING, ids=str)
async def test_a_purchase_survives_a_death_where_it_hurts_most(stack: Stack, case: Case) -> None:
    await survives(stack, case)


@pytest.mark.long
@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S44")
@pytest.mark.invariant("S45")
@pytest.mark.invariant("S46")
@pytest.mark.parametrize("case", [case for case in ALL if case not in TELLING], ids=str)
async def test_a_purchase_survives_a_death_at_every_step(stack: Stack, case: Case) -> None:
    await survives(stack, case)


@pytest.mark.invariant("S23")
async def test_who_dies_before_calling_the_provider_has_left_the_payment_that_is_then_made(stack: Stack) -> None:
    case = Case("billing.attempt.recorded", ("billing-api",), "mtn_momo")
    async with await a_customer(stack) as customer:
        await restart(stack, case.parts, {case.point: Deed.KILL})
        buying = asyncio.create_task(buy(customer, case.method))
        assert await stack.dead("billing-api") == -signal.SIGKILL
        query = "SELECT id, tenant_id, reference, provider_reference, status FROM payments ORDER BY id DESC LIMIT 1"
        (left,) = await stack.rows("billing", query)
        assert left["status"] == "pending"
        assert left["reference"]
        assert left["provider_reference"]
        async with httpx.AsyncClient(trust_env=False, base_url=stack.endpoints["mtn_momo"]) as http:
            seen = (await http.get("/_sim/requests", params={"path": "/collection/v1_0/requesttopay"})).json()
        assert not [entry for entry in seen["results"] if str(left["id"]) in entry["body"]]
        await stack.start_part("billing-api")
        purchase = await buying
    assert purchase.tenant_id == str(left["tenant_id"])
    await right_once(stack, purchase)
