"""Purchases that do not give up while parts die, and what must be there once after each."""

from collections import Counter
from dataclasses import dataclass

import httpx
from common.ids import uuid7
from devstack.customer import JSON, MTN_MOMO, PAYPAL, Customer, until
from devstack.patient_customer import PatientCustomer
from devstack.premises import BRONZE, PASSWORD
from devstack.stack import Stack

PATIENCE_SECONDS = 120.0
METHODS = {"paypal": PAYPAL, "mtn_momo": MTN_MOMO}


@dataclass(frozen=True)
class Purchase:
    """What a customer knows of his purchase."""

    email: str
    method: str
    order_id: str
    tenant_id: str
    total: str


async def a_customer(stack: Stack) -> PatientCustomer:
    """Return a person with a browser, registered and signed in."""
    customer = PatientCustomer(stack.endpoints["gateway"], f"{uuid7().hex}@xyz.example", PASSWORD)
    await customer.register("Contact XYZ")
    await customer.log_in()
    return customer


async def buy(customer: Customer, method: str) -> Purchase:
    """Order Bronze, pay it, and ask until there is an organization."""
    order = await customer.order(BRONZE, "Entreprise XYZ")
    payment = await customer.pay(order, METHODS[method])
    if method == "paypal":
        await customer.approve_on_paypal(payment["redirect_url"])
    organization = await customer.paid(order, seconds=PATIENCE_SECONDS)
    return Purchase(customer.email, method, order["id"], organization["id"], order["total_amount"])


ONCE = {
    "billing": {
        "orders": "SELECT status FROM orders WHERE tenant_id = $1",
        "completed payments": "SELECT id FROM payments WHERE tenant_id = $1 AND status = 'completed'",
        "invoices": "SELECT id FROM invoices WHERE tenant_id = $1",
        "periods": "SELECT order_id FROM subscription_periods WHERE tenant_id = $1",
        "subscriptions": "SELECT 1 FROM subscriptions WHERE tenant_id = $1",
        "payment.confirmed": "SELECT id FROM outbox WHERE tenant_id = $1 AND type = 'payment.confirmed.v1'",
        "confirmations": (
            "SELECT id FROM mails WHERE tenant_id = $1 AND key LIKE 'payment_confirmed:%' AND sent_at IS NOT NULL"
        ),
        "invoices mailed": "SELECT id FROM mails WHERE tenant_id = $1 AND key LIKE 'invoice:%' AND sent_at IS NOT NULL",
        "org.provisioned taken in": (
            "SELECT 1 FROM inbox WHERE tenant_id = $1 AND type = 'org.provisioned.v1' AND status = 'done'"
        ),
    },
    "tenancy": {
        "organizations": "SELECT name FROM organizations WHERE tenant_id = $1",
        "owners": "SELECT user_id FROM memberships WHERE tenant_id = $1 AND role = 'owner'",
        "entitlements": "SELECT plan FROM entitlements WHERE tenant_id = $1",
        "applied orders": "SELECT order_id FROM applied_orders WHERE tenant_id = $1",
        "org.provisioned": "SELECT id FROM outbox WHERE tenant_id = $1 AND type = 'org.provisioned.v1'",
        "welcomes": "SELECT id FROM mails WHERE tenant_id = $1 AND key = 'welcome' AND sent_at IS NOT NULL",
        "payment.confirmed taken in": (
            "SELECT 1 FROM inbox WHERE tenant_id = $1 AND type = 'payment.confirmed.v1' AND status = 'done'"
        ),
    },
    "backup_engine": {
        "org.provisioned taken in": (
            "SELECT 1 FROM inbox WHERE tenant_id = $1 AND type = 'org.provisioned.v1' AND status = 'done'"
        ),
    },
}
"""What there has to be exactly one of, by database."""

LEFT = {
    "facts unpublished": "SELECT type FROM outbox WHERE tenant_id = $1 AND published_at IS NULL",
    "facts not handled": "SELECT type FROM inbox WHERE tenant_id = $1 AND status <> 'done'",
    "mails unsent": "SELECT key FROM mails WHERE tenant_id = $1 AND sent_at IS NULL",
}
"""What there may be nothing of in any database, once everything has come to rest."""

LEDGER = """
SELECT p.account, p.currency, sum(p.amount_minor) AS balance FROM ledger_postings p WHERE p.tenant_id = $1
GROUP BY p.account, p.currency
"""


async def counts(stack: Stack, tenant_id: str) -> dict[str, int]:
    """Count everything that `ONCE` and `LEFT` name."""
    found = {}
    for database, queries in ONCE.items():
        for name, query in queries.items():
            found[f"{database}: {name}"] = len(await stack.rows(database, query, tenant_id))
        for name, query in LEFT.items():
            found[f"{database}: {name}"] = len(await stack.rows(database, query, tenant_id))
    return found


def wanted_counts() -> dict[str, int]:
    """Return what `counts` finds after one purchase."""
    return {
        f"{database}: {name}": count
        for database, queries in ONCE.items()
        for names, count in ((queries, 1), (LEFT, 0))
        for name in names
    }


async def right_once(stack: Stack, purchase: Purchase, *, mails_twice: bool = False) -> None:
    """Wait until everything has come to rest, and fail unless everything is there once and nothing is left.

    Args:
        stack: Where.
        purchase: What was bought.
        mails_twice: A mail server had taken a mail when its sender died: the same message may come once more.
    """
    wanted = wanted_counts()
    found = await until(
        lambda: counts(stack, purchase.tenant_id), lambda now: now == wanted or _too_much(now), seconds=PATIENCE_SECONDS
    )
    assert found == wanted
    assert await stack.rows("billing", ONCE["billing"]["orders"], purchase.tenant_id) == [{"status": "completed"}]
    await _ledger_is_square(stack, purchase)
    await _paid_once(stack, purchase)
    await _told_once(stack, purchase, most=2 if mails_twice else 1)


def _too_much(now: JSON) -> bool:
    once = {f"{database}: {name}" for database, queries in ONCE.items() for name in queries}
    return any(count > 1 for name, count in now.items() if name in once)


async def _ledger_is_square(stack: Stack, purchase: Purchase) -> None:
    """Each currency sums up to zero, nothing is owed, and nothing is left unallocated or as credit."""
    totals: Counter[str] = Counter()
    for row in await stack.rows("billing", LEDGER, purchase.tenant_id):
        totals[row["currency"]] += int(row["balance"])
        if row["account"] in {"receivable", "unallocated", "customer_credit"}:
            assert row["balance"] == 0, row
    assert totals
    assert not any(totals.values()), totals


async def _paid_once(stack: Stack, purchase: Purchase) -> None:
    """The provider took money once for this order, whatever was repeated."""
    attempts = await stack.rows(
        "billing", "SELECT id, provider_reference FROM payments WHERE tenant_id = $1", purchase.tenant_id
    )
    assert len(attempts) == 1
    theirs, ours = attempts[0]["provider_reference"], str(attempts[0]["id"])
    base = stack.endpoints[purchase.method]
    async with httpx.AsyncClient(trust_env=False, base_url=base) as http:
        if purchase.method == "paypal":
            path = f"/v2/checkout/orders/{theirs}/capture"
            seen = (await http.get("/_sim/requests", params={"path": path})).json()["results"]
            taken = [entry for entry in seen if entry["status"] == httpx.codes.CREATED]
        else:
            path = "/collection/v1_0/requesttopay"
            seen = (await http.get("/_sim/requests", params={"path": path})).json()["results"]
            taken = [entry for entry in seen if ours in entry["body"] and entry["status"] == httpx.codes.ACCEPTED]
    assert len(taken) == 1, seen


async def _told_once(stack: Stack, purchase: Purchase, *, most: int) -> None:
    """Each mail arrived; one that arrived again is the same message, which mail programs show once."""
    async with httpx.AsyncClient(trust_env=False, base_url=stack.endpoints["mail"]) as http:
        inbox = (await http.get("/messages", params={"to": purchase.email})).json()["results"]
    arrived = Counter(mail["message_id"] for mail in inbox)
    assert len(arrived) == len({mail["subject"] for mail in inbox}) >= 2, inbox
    assert max(arrived.values()) <= most, arrived


async def every_row(stack: Stack, tenant_id: str) -> dict[str, str]:
    """Return a digest of a tenant's rows in every table of every database, but for when its calendar looks next."""
    tables = "SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'tenant_id' ORDER BY 1"
    found = {}
    for database in ONCE:
        for table in await stack.rows(database, tables):
            row = "(to_jsonb(t) - 'next_step_at')::text"
            digest = f"SELECT md5(string_agg({row}, '|' ORDER BY {row})) AS md5 FROM \"{table['name']}\" t"
            rows = await stack.rows(database, f"{digest} WHERE tenant_id = $1", tenant_id)
            found[f"{database}.{table['name']}"] = rows[0]["md5"]
    return found
