"""Parts that die at a named point while something goes on, each started again as an orchestrator would."""

import asyncio
import signal
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from common.crash_points import Deed
from devstack.customer import JSON
from devstack.stack import Stack

from tests.crashes.test_purchases import restart

LEFT = {
    "facts unpublished": "SELECT type FROM outbox WHERE tenant_id = $1 AND published_at IS NULL",
    "facts not handled": "SELECT type FROM inbox WHERE tenant_id = $1 AND status <> 'done'",
    "mails unsent": "SELECT key FROM mails WHERE tenant_id = $1 AND sent_at IS NULL",
}
"""What there may be nothing of in billing and tenancy, once everything has come to rest."""

NOT_SQUARE = """
SELECT account FROM ledger_postings WHERE tenant_id = $1 GROUP BY account, currency
HAVING sum(amount_minor) <> 0 AND account IN ('receivable', 'unallocated', 'customer_credit')
UNION ALL SELECT 'all' FROM ledger_postings WHERE tenant_id = $1 GROUP BY currency HAVING sum(amount_minor) <> 0
"""
"""Accounts of a customer who owes nothing and is owed nothing, where they are not at zero."""


@asynccontextmanager
async def dying(stack: Stack, parts: Collection[str], point: str) -> AsyncIterator[list[str]]:
    """Arm the parts; who dies is started again and named in the list. Fails where nobody came to the point."""
    await restart(stack, parts, {point: Deed.KILL})
    died: list[str] = []

    async def start_again(part: str) -> None:
        assert await stack.dead(part, seconds=200) == -signal.SIGKILL
        stack.spawn(part)
        died.append(part)

    watching = [asyncio.create_task(start_again(part)) for part in parts]
    try:
        yield died
        await asyncio.wait(watching, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for watch in watching:
            watch.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    assert died, f"nobody reached {point}"
    await restart(stack, set(parts) - set(died))


async def numbers(stack: Stack, tenant_id: str, queries: dict[str, str]) -> JSON:
    """Count what billing's queries find for a tenant, and what `LEFT` finds."""
    found = {name: len(await stack.rows("billing", query, tenant_id)) for name, query in queries.items()}
    for database in ("billing", "tenancy"):
        for name, query in LEFT.items():
            found[f"{database}: {name}"] = len(await stack.rows(database, query, tenant_id))
    return found


def at_rest(wanted: dict[str, int]) -> JSON:
    """Return what `numbers` finds once nothing is left to do."""
    return wanted | {f"{database}: {name}": 0 for database in ("billing", "tenancy") for name in LEFT}
