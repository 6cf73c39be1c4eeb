"""Purchases on a stack of processes: how many of many at once go wrong, and how long until there is an organization.

The clock of ``provision_p99_ms`` starts before the first byte of ``initiate_payment`` is sent to the gateway, for a
payer who approves at once, and ends with tenancy's commit as PostgreSQL recorded it. It so includes the provider's
answers and its callback, or our own question where that comes first.
"""

import asyncio
import secrets
import time
from collections import Counter
from contextlib import AsyncExitStack
from statistics import median

import asyncpg

from devstack.bench.measuring import Say, Sizes, percentile
from devstack.bench.report import Bar
from devstack.bench.running import Running, running
from devstack.customer import JSON, MTN_MOMO, Customer

POLLERS = 3
POLL_EVERY = 1.0
PURCHASE_SECONDS = 300.0
SIGN_UPS_AT_ONCE = 4
"""Hashing a password takes a core for a while; signing up is not what is measured."""

COMMITTED = """
select extract(epoch from pg_xact_commit_timestamp(xmin))::float8 from organizations where source_order_id = $1::uuid
"""
CONFIRMED = "select extract(epoch from completed_at)::float8 from payments where order_id = $1::uuid"


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Start a stack whose payers approve at once; buy at once, then one after the other."""
    say("billing: starting a stack")
    with running({"EBM_MOMO_APPROVAL_SECONDS": "0"}) as stack:
        return asyncio.run(_bars(stack, sizes.purchases, say))


async def _bars(stack: Running, purchases: int, say: Say) -> list[Bar]:
    async with AsyncExitStack() as exits:
        say(f"billing: {2 * purchases} customers sign up")
        customers = await _sign_up(stack, 2 * purchases, exits)
        at_once, in_turn = customers[:purchases], customers[purchases:]
        say(f"billing: {purchases} purchases at once, {POLLERS} pollers each")
        wrong = await _purchases_wrong(at_once)
        say(f"billing: {purchases} purchases one after the other")
        return [wrong, await _provision_p99(stack, in_turn)]


async def _sign_up(stack: Running, number: int, exits: AsyncExitStack) -> list[Customer]:
    turn = asyncio.Semaphore(SIGN_UPS_AT_ONCE)

    async def one(index: int) -> Customer:
        customer = Customer(stack.gateway, f"buyer-{index}@xyz.example", secrets.token_urlsafe(18))
        await exits.enter_async_context(customer)
        async with turn:
            await customer.register(f"Buyer {index}")
            await customer.log_in()
        return customer

    return list(await asyncio.gather(*(one(index) for index in range(number))))


async def _purchases_wrong(customers: list[Customer]) -> Bar:
    found = await asyncio.gather(*(_judged(customer) for customer in customers))
    ids = Counter(organization for organization, _ in found if organization)
    wrong = [reason or "two customers share an organization" for org, reason in found if reason or ids[org] > 1]
    kinds = ", ".join(f"{count} × {reason}" for reason, count in Counter(wrong).most_common(3))
    return Bar(
        "purchases_wrong",
        "billing",
        len(wrong),
        "purchases",
        "=",
        0,
        f"{len(customers)} at once with {POLLERS} pollers each",
        note=kinds,
    )


async def _judged(customer: Customer) -> tuple[str, str]:
    """Buy, and return the organization and what is wrong with the purchase; nothing where all is right."""
    try:
        order = await customer.order(2, customer.email)
        await customer.pay(order, MTN_MOMO)
        answers = await asyncio.gather(*(_polled(customer, order) for _ in range(POLLERS)))
        found = {str(answer["id"]) for answer in answers}
        if len(found) != 1:
            return "", "pollers saw different organizations"
        return found.pop(), await _flaw(customer)
    except (AssertionError, TimeoutError, OSError) as error:
        return "", f"{type(error).__name__}: {str(error)[:200]}"


async def _polled(customer: Customer, order: JSON) -> JSON:
    """Poll as the guide's page does; return the organization. Raises TimeoutError."""
    deadline = time.monotonic() + PURCHASE_SECONDS
    while time.monotonic() < deadline:
        answer = await customer.verify(order)
        if answer["success"] and answer["organization"]:
            organization: JSON = answer["organization"]
            return organization
        await asyncio.sleep(POLL_EVERY)
    raise TimeoutError("no organization")


async def _flaw(customer: Customer) -> str:
    """Return what the customer has too much or too little of after one purchase."""
    await customer.log_in()
    organizations = (await customer.get("/api/tenants/organizations/"))["results"]
    payments = (await customer.get("/api/tenants/payments/"))["results"]
    invoices = (await customer.get("/api/tenants/invoices/"))["results"]
    orders = (await customer.get("/api/tenants/orders/"))["results"]
    held = {
        "organizations": len(organizations),
        "payments": len(payments),
        "completed payments": sum(payment["status"] == "completed" for payment in payments),
        "invoices": len(invoices),
        "orders": len(orders),
    }
    return ", ".join(f"{count} {name}" for name, count in held.items() if count != 1)


async def _provision_p99(stack: Running, customers: list[Customer]) -> Bar:
    tenancy = await asyncpg.connect(stack.postgres.url_for("tenancy"))
    billing = await asyncpg.connect(stack.postgres.url_for("billing"))
    payment, events = [], []
    try:
        for customer in customers:
            order = await customer.order(2, customer.email)
            began = time.time()
            await customer.pay(order, MTN_MOMO)
            await customer.paid(order)
            confirmed = await billing.fetchval(CONFIRMED, order["id"])
            committed = await tenancy.fetchval(COMMITTED, order["id"])
            payment.append((confirmed - began) * 1000)
            events.append((committed - confirmed) * 1000)
    finally:
        await tenancy.close()
        await billing.close()
    whole = [before + after for before, after in zip(payment, events, strict=True)]
    return Bar(
        "provision_p99_ms",
        "billing",
        percentile(whole, 0.99),
        "ms",
        "<=",
        500,
        f"{len(whole)} purchases one after the other, a payer who approves at once",
        "payment" if median(payment) > median(events) else "events",
        f"p50 {median(whole):.0f} ms: {median(payment):.0f} until the payment is confirmed, {median(events):.0f} after",
    )
