"""Purchases on a stack of processes: how many of many at once go wrong, and how long until there is an organization.

The clock of ``provision_p99_ms`` starts before the first byte of ``initiate_payment`` is sent to the gateway, for a
payer who approves at once, and ends with tenancy's commit as PostgreSQL recorded it. It so includes the provider's
answers and its callback, or our own question where that comes first.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from statistics import median

import asyncpg
import httpx

from devstack.bench.books import flaws
from devstack.bench.figures import PROVISION_P99, PURCHASES_WRONG
from devstack.bench.measuring import Say, Sizes, percentile
from devstack.bench.reasons import counted, grouped
from devstack.bench.report import Bar
from devstack.bench.running import Running, running
from devstack.customer import JSON, MTN_MOMO, Customer, Refused
from devstack.patient_customer import PatientCustomer

POLLERS = 3
POLL_EVERY, POLL_AT_LAST = 1.0, 10.0
"""Seconds from an answer to the next question, at first and after a while; each is half as long again as the last."""
PURCHASE_SECONDS = 300.0
"""How long a buyer waits for his organization, and for the answer to any of his requests."""
ANSWER_SECONDS = 120.0
"""How long he waits for one answer before he sends the request again: to ask sooner only makes the queue longer."""
SEEN = ("organizations", "payments", "invoices", "orders")
"""What a customer can list, one of each after one purchase."""
SIGN_UPS_AT_ONCE = 4
"""Hashing a password takes a core for a while; signing up is not what is measured."""

COMMITTED = """
select extract(epoch from pg_xact_commit_timestamp(xmin))::float8 from organizations where source_order_id = $1::uuid
"""
CONFIRMED = "select extract(epoch from completed_at)::float8 from payments where order_id = $1::uuid"


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Start a stack whose payers approve at once; buy at once, then one after the other."""
    say("starting a stack")
    with running({"EBM_MOMO_APPROVAL_SECONDS": "0"}) as stack:
        return asyncio.run(_bars(stack, sizes.purchases, say))


async def _bars(stack: Running, purchases: int, say: Say) -> list[Bar]:
    async with signed_up(stack, "at-once", purchases, say) as customers:
        say(f"{purchases} purchases at once, {POLLERS} pollers each")
        wrong = await purchases_wrong(stack, customers, say)
    async with signed_up(stack, "in-turn", purchases, say) as customers:
        say(f"{purchases} purchases one after the other")
        return [await _provision_p99(stack, customers), wrong]


@asynccontextmanager
async def signed_up(
    stack: Running, name: str, number: int, say: Say, *, seconds: float = PURCHASE_SECONDS
) -> AsyncIterator[list[PatientCustomer]]:
    """So many fresh customers, signed in, who wait so long for what they ask for."""
    say(f"{number} customers sign up")
    turn = asyncio.Semaphore(SIGN_UPS_AT_ONCE)

    async def one(index: int) -> PatientCustomer:
        customer = PatientCustomer(stack.gateway, f"{name}-{index}@xyz.example", secrets.token_urlsafe(18))
        customer.patience_seconds = seconds
        customer.http.timeout = ANSWER_SECONDS
        await exits.enter_async_context(customer)
        async with turn:
            await customer.register(f"Buyer {index}")
            await customer.log_in()
        return customer

    async with AsyncExitStack() as exits:
        yield list(await asyncio.gather(*(one(index) for index in range(number))))


async def purchases_wrong(stack: Running, customers: list[PatientCustomer], say: Say) -> Bar:
    """Count purchases that went wrong for their buyers, then what is wrong in the databases; say every kind."""
    began = time.monotonic()
    bought = await asyncio.gather(*(_bought(customer) for customer in customers))
    seconds = time.monotonic() - began
    again, renewals = (sum(getattr(customer, name) for customer in customers) for name in ("again", "renewals"))
    say(f"all ended within {seconds:.0f} s; {again} requests came again, {renewals} times tokens were renewed")
    async with _databases(stack) as (billing, tenancy):
        in_books = await flaws(billing, tenancy, [order for order, _ in bought if order], len(customers))
    wrong = [reason for _, reason in bought if reason] + in_books
    for count, kind, example in grouped(wrong):
        say(f"{count} × {kind}\n    such as: {example}")
    return replace(
        PURCHASES_WRONG,
        value=len(wrong),
        peer=f"{len(customers)} at once with {POLLERS} pollers each",
        note=counted(wrong) or f"all within {seconds:.0f} s; {again} requests were asked to come again",
    )


async def _bought(customer: PatientCustomer) -> tuple[str, str]:
    """Buy, and return the order and what is wrong as the buyer sees it; nothing where all is right."""
    order_id = ""
    try:
        order = await customer.order(2, customer.email)
        order_id = str(order["id"])
        await customer.pay(order, MTN_MOMO)
        seen = [_polled(customer, order) for _ in range(POLLERS)]
        answers = await asyncio.gather(*seen, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        if len({str(answer["id"]) for answer in answers if not isinstance(answer, BaseException)}) != 1:
            return order_id, "pollers saw different organizations"
        return order_id, await _seen_by(customer)
    except Refused as refused:
        return order_id, _refusal(refused)
    except (AssertionError, TimeoutError, OSError, httpx.HTTPError) as error:
        return order_id, f"{type(error).__name__}: {str(error)[:400]}"


def _refusal(refused: Refused) -> str:
    """What was answered to which request: its code before all that is only this one's."""
    answer = refused.answer
    try:
        code = answer.json()["code"]
    except (ValueError, KeyError, TypeError):
        code = ""
    return f"{answer.status_code} {code} to {answer.request.method} {answer.request.url.path}: {answer.text[:400]}"


async def _polled(customer: PatientCustomer, order: JSON) -> JSON:
    """Poll as the guide's page does, and less often the longer it takes; return the organization.

    Raises:
        TimeoutError: the buyer waited long enough; the message is how the order stood.
    """
    deadline, pause = time.monotonic() + customer.patience_seconds, POLL_EVERY
    while True:
        answer = await customer.verify(order)
        if answer["success"] and answer["organization"]:
            organization: JSON = answer["organization"]
            return organization
        if time.monotonic() > deadline:
            standing = {name: answer[name] for name in ("status", "payment_status", "message")}
            raise TimeoutError(f"no organization within {customer.patience_seconds:.0f} s: {standing}")
        await asyncio.sleep(pause)
        pause = min(POLL_AT_LAST, pause * 1.5)


async def _seen_by(customer: Customer) -> str:
    """Return what the customer sees too much or too little of after one purchase."""
    held = {kind: len((await customer.get(f"/api/tenants/{kind}/"))["results"]) for kind in SEEN}
    return ", ".join(f"{count} {kind} shown" for kind, count in held.items() if count != 1)


@asynccontextmanager
async def _databases(stack: Running) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
    """Billing's and tenancy's database, as superuser."""
    billing = await asyncpg.connect(stack.postgres.url_for("billing"))
    tenancy = await asyncpg.connect(stack.postgres.url_for("tenancy"))
    try:
        yield billing, tenancy
    finally:
        await billing.close()
        await tenancy.close()


async def _provision_p99(stack: Running, customers: list[PatientCustomer]) -> Bar:
    payment, events = [], []
    async with _databases(stack) as (billing, tenancy):
        for customer in customers:
            order = await customer.order(2, customer.email)
            began = time.time()
            await customer.pay(order, MTN_MOMO)
            await customer.paid(order)
            confirmed = await billing.fetchval(CONFIRMED, order["id"])
            committed = await tenancy.fetchval(COMMITTED, order["id"])
            payment.append((confirmed - began) * 1000)
            events.append((committed - confirmed) * 1000)
    whole = [before + after for before, after in zip(payment, events, strict=True)]
    return replace(
        PROVISION_P99,
        value=percentile(whole, 0.99),
        peer=f"{len(whole)} purchases one after the other, a payer who approves at once",
        limiting_stage="payment" if median(payment) > median(events) else "events",
        note=f"p50 {median(whole):.0f} ms, {median(payment):.0f} of them until the payment is confirmed",
    )
