"""What many rows cost billing: a page of one customer's orders among a million, and the janitor's day.

Rows are copies of one real order and one real payment, made by one statement each. A list is what the service's own
repository reads through the tenant's door; the janitor is the worker's own, and the provider that it asks answers
«pending» at once, so that its own work is what takes time.
"""

import asyncio
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import httpx
from billing.domain.plan import Method
from billing.ports import ProviderState, ProviderStatus
from billing.testing import Billing, initiate, place, settings_for
from common.testing import service_database
from common.testing.databases import ServiceDatabase

from devstack.bench.apart import folder as own_folder
from devstack.bench.crowds import EACH, PAGE, Crowd, customers, fill, page_seconds
from devstack.bench.figures import JANITOR_DAY, ORDERS_LIST
from devstack.bench.measuring import Say, Sizes, median_ratio
from devstack.bench.report import Bar
from devstack.members import BILLING
from devstack.servers.postgres import EmbeddedPostgres

OPEN_PER = 10
"""One attempt in so many is still open, and asked about once in the day that is measured."""


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Fill databases and read them."""
    # What is timed reads, or writes one short row after the other: how durable that is, is not what is asked here.
    with (
        own_folder() as folder,
        EmbeddedPostgres(folder / "postgres", fsync=False, throw_away=True) as server,
        _database(server.url) as small,
        _database(server.url) as large,
    ):
        return asyncio.run(_bars(folder, small, large, sizes, say))


@contextmanager
def _database(url: str) -> Any:
    with contextmanager(service_database)(
        url, BILLING.prefix, BILLING.package_folder, BILLING.system_roles
    ) as database:
        yield database


async def _bars(folder: Path, small: ServiceDatabase, large: ServiceDatabase, sizes: Sizes, say: Say) -> list[Bar]:
    async with httpx.AsyncClient() as http:
        few, many = (Billing(one, settings_for(one, folder / "receipts"), http) for one in (small, large))
        try:
            return [await orders_list(few, many, sizes, say), await janitor_day(few, sizes, say)]
        finally:
            await few.close()
            await many.close()


async def copies(billing: Billing, table: str, count: int, row: UUID, **columns: str) -> None:
    """Insert copies of a row, numbered ``n`` from 1, with these columns computed from ``n``."""
    async with billing.superuser() as superuser:
        names = [
            name
            for (name,) in await superuser.fetch(
                "select column_name from information_schema.columns where table_name = $1 and table_schema = 'public'",
                table,
            )
        ]
        values = ", ".join(columns.get(name, f"one.{name}") for name in names)
    await fill(
        billing.database.admin_url,
        f"insert into {table} ({', '.join(names)}) select {values} from {table} as one,"
        f" generate_series(1, {count}) as n where one.id = '{row}'",
    )


async def _an_order(billing: Billing) -> tuple[Any, UUID]:
    await billing.seed()
    buyer = billing.client()
    return buyer, UUID((await place(buyer))["id"])


async def orders_list(few: Billing, many: Billing, sizes: Sizes, say: Say) -> Bar:
    """Compare the p50 of one page with few customers and with many, each with as many orders."""
    fewer, all_customers = customers(sizes.rows)
    for billing, count in ((few, fewer), (many, all_customers)):
        say(f"{count * EACH} orders of {count} customers")
        _, order = await _an_order(billing)
        await copies(
            billing,
            "orders",
            count * EACH,
            order,
            tenant_id=f"md5('tenant ' || n % {count})::uuid",
            id="md5('order ' || n)::uuid",
            user_id=f"md5('user ' || n % {count})::uuid",
            order_number="'ORD-' || n",
            fingerprint="md5('wish ' || n)",
            expires_at="null",
            created_at="one.created_at - n * interval '1 second'",
        )
    pairs = await page_seconds(await _crowd(many), await _crowd(few), sizes.pairs)
    ours, peer = median(left for left, _ in pairs), median(right for _, right in pairs)
    return replace(
        ORDERS_LIST,
        value=median_ratio(pairs),
        peer=f"the same page with {fewer} customers instead of {all_customers}, {EACH} orders each",
        note=f"p50 {ours * 1000:.2f} ms against {peer * 1000:.2f} ms",
    )


async def _crowd(billing: Billing) -> Crowd:
    async def page(tenant_id: UUID) -> int:
        async with billing.store.for_tenant(tenant_id) as uow:
            return len(await uow.orders.page(None, PAGE))

    rows = await billing.rows("select tenant_id from orders group by tenant_id having count(*) >= $1", n=EACH)
    return Crowd([row["tenant_id"] for row in rows], page)


class _Pending:
    """A provider whose payers never decide."""

    currency = "XAF"
    payee = None
    most = None

    def __init__(self) -> None:
        self.asked = 0

    async def observe(self, _attempt: Any) -> ProviderState:
        self.asked += 1
        return ProviderState(status=ProviderStatus.PENDING, provider_status="PENDING")


async def janitor_day(billing: Billing, sizes: Sizes, say: Say) -> Bar:
    """Ask once about every open attempt of many, most of which are closed; as one worker does."""
    attempts = max(OPEN_PER, sizes.rows // 10)
    opened = attempts // OPEN_PER
    say(f"{attempts} attempts, {opened} of them open")
    buyer, order = await _an_order(billing)
    payment = UUID((await initiate(buyer, {"id": str(order)}, 3))["payment_id"])
    tenant = "md5('payer ' || n)::uuid"
    await copies(
        billing, "orders", attempts, order, tenant_id=tenant, id="md5('bought ' || n)::uuid", expires_at="null",
        order_number="'BENCH-' || n",
    )  # fmt: skip
    is_open = f"n % {OPEN_PER} = 0"
    await copies(
        billing, "payments", attempts, payment, tenant_id=tenant, id="md5('attempt ' || n)::uuid",
        order_id="md5('bought ' || n)::uuid", method=f"'{Method.MTN_MOMO}'", reference="'REF-' || n",
        provider_reference="md5('asked ' || n)::uuid::text",
        status=f"case when {is_open} then 'pending' else 'failed' end",
        next_poll_at=f"case when {is_open} then now() - interval '1 second' end",
    )  # fmt: skip
    provider = _Pending()
    billing.checkout._providers = {Method.MTN_MOMO: provider}  # type: ignore[dict-item]  # noqa: SLF001  observed only
    began = time.perf_counter()
    # Each is due again two seconds after its first question: only the day's one question is measured.
    while provider.asked < opened and await billing.watch.ask_due():
        pass
    seconds = time.perf_counter() - began
    assert provider.asked >= opened, f"{provider.asked} of {opened} were asked"
    return replace(
        JANITOR_DAY,
        value=seconds / timedelta(days=1).total_seconds() * 100,
        peer=f"a day; {opened} open attempts of {attempts}, a provider that answers at once, one worker",
        note=f"{seconds:.1f} s, {provider.asked / seconds:.0f} questions a second",
    )
