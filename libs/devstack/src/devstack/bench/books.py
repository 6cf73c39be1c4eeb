"""What stands in the databases after purchases: of everything one each, and books that add up.

Read as superuser, whom no policy holds back, so that a row in a wrong organization is seen too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Connection(Protocol):
    """What is asked of asyncpg's connection."""

    async def fetch(self, query: str, *arguments: Any) -> Sequence[Mapping[str, Any]]: ...


ORGANIZATIONS = """
select source_order_id::text as order_id, count(*)::int as organizations, count(distinct tenant_id)::int as tenants
from organizations where source_order_id = any($1::uuid[]) group by 1
"""
ORDERS = """
select o.id::text as order_id,
  (select count(*)::int from payments p where p.order_id = o.id) as payments,
  (select count(*)::int from payments p where p.order_id = o.id and p.status = 'completed') as "completed payments",
  (select count(*)::int from payment_allocations a where a.order_id = o.id) as allocations,
  (select count(*)::int from invoices i where i.order_id = o.id) as invoices,
  (select count(*)::int from subscription_periods s where s.order_id = o.id) as periods,
  (select count(*)::int from subscriptions s where s.tenant_id = o.tenant_id) as subscriptions,
  (select count(*)::int from ledger_entries e join payments p on p.id = e.source_id
    where p.order_id = o.id and e.kind = 'payment') as "payments in the ledger",
  (select count(*)::int from ledger_entries e join invoices i on i.id = e.source_id
    where i.order_id = o.id and e.kind = 'invoice') as "invoices in the ledger",
  (select count(*)::int from cases c where c.tenant_id = o.tenant_id) as cases,
  o.total_minor - o.allocated_minor as unpaid
from orders o where o.id = any($1::uuid[])
"""
OPEN_BALANCES = """
select tenant_id::text, account, sum(amount_minor)::bigint as balance from ledger_postings
where account in ('unallocated', 'receivable', 'customer_credit') group by tenant_id, account, currency
having sum(amount_minor) <> 0
"""
UNBALANCED = """
select entry_id::text from ledger_postings group by tenant_id, entry_id, currency having sum(amount_minor) <> 0
"""
NUMBERS = """
select i.issuer_code, i.year, array_agg(i.sequence order by i.sequence) as sequences,
  (select last_sequence from invoice_counters c where c.issuer = i.issuer_code and c.year = i.year) as last
from invoices i group by 1, 2
"""
ALL_ORGANIZATIONS = "select count(*)::int as count from organizations"
ALL_INVOICES = "select count(*)::int as count from invoices"
NONE = frozenset({"cases", "unpaid"})
"""Of these there has to be none; of everything else that is counted, exactly one."""


async def flaws(billing: Connection, tenancy: Connection, orders: Sequence[str], number: int) -> list[str]:
    """Return what is wrong: a sentence for each order that has too much or too little, and for each flaw of the books.

    Args:
        billing: The superuser in billing's database.
        tenancy: The superuser in tenancy's database.
        orders: Ids of orders, each of which was paid once; nobody else ever bought anything.
        number: How many purchases there were, whether or not their order is known.
    """
    made = {row["order_id"]: dict(row) for row in await tenancy.fetch(ORGANIZATIONS, orders)}
    kept = {row["order_id"]: dict(row) for row in await billing.fetch(ORDERS, orders)}
    found = [flaw for order in orders if (flaw := of_order(made.get(order), kept.get(order)))]
    found += [f"a balance of {row['account']}" for row in await billing.fetch(OPEN_BALANCES)]
    found += ["an entry that is not zero" for _ in await billing.fetch(UNBALANCED)]
    for row in await billing.fetch(NUMBERS):
        found += of_numbers(row["sequences"], row["last"])
    for kind, connection, query in (
        ("organization", tenancy, ALL_ORGANIZATIONS),
        ("invoice", billing, ALL_INVOICES),
    ):
        found += of_all(kind, (await connection.fetch(query))[0]["count"], number)
    return found


def of_order(made: Mapping[str, Any] | None, kept: Mapping[str, Any] | None) -> str:
    """Return what an order has too much or too little of; nothing when all is right."""
    if made is None or kept is None:
        return "no organization" if made is None else "no order"
    counted = {name: count for name, count in {**made, **kept}.items() if name != "order_id"}
    return ", ".join(f"{count} {name}" for name, count in counted.items() if count != (0 if name in NONE else 1))


def of_numbers(sequences: Sequence[int], last: int | None) -> list[str]:
    """Return the gaps and doubles of one issuer's invoice numbers in a year, which begin at 1 and end with the last."""
    seen = Counter(sequences)
    most = max([*seen, last or 0])
    gaps = ["a missing invoice number" for number in range(1, most + 1) if number not in seen]
    doubles = ["an invoice number used twice" for count in seen.values() if count > 1]
    return (
        gaps + doubles + ([] if (last or 0) == max(seen, default=0) else ["a counter that is not at its last number"])
    )


def of_all(kind: str, count: int, number: int) -> list[str]:
    """Return a sentence for each thing of a kind that there is more or less than there were purchases."""
    return [f"{'too many' if count > number else 'too few'}: {kind}"] * abs(count - number)
