"""What row-level security costs a scan: the product's roles and policies against the same query without them.

The table is the inbox of a migrated database of tenancy, which is both a tenant's (door ``app``) and a system role's.
The peer is the superuser, for whom no policy applies, with the tenant in the WHERE clause.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
from common.persistence.scope import TENANT_SETTING
from common.testing import service_database
from common.testing.databases import ServiceDatabase

from devstack.bench.apart import folder as own_folder
from devstack.bench.figures import RLS_SCAN_RATIO
from devstack.bench.measuring import Say, Sizes, interleaved, median_ratio
from devstack.bench.report import Bar
from devstack.members import TENANCY
from devstack.servers.postgres import EmbeddedPostgres

TENANT_ROWS = 1_000
TENANT_SCANS = 10
"""Scans of one tenant's rows that are timed together: one alone is shorter than the clock's noise."""
TENANT_PAIRS, PAIRS = 20, 4
"""Short pairs for each one that is asked for: what else the machine does lasts longer than a pair, and meets both."""

LOAD = """
insert into inbox (consumer, event_id, tenant_id, type, source, envelope, status, received_at, next_attempt_at)
select 'bench', md5('event ' || n)::uuid, md5('tenant ' || n % $2)::uuid, 'billing.order.completed', 'billing',
    jsonb_build_object('n', n), 'done', now() - n * interval '1 second', now()
from generate_series(1, $1::bigint) as n
"""
SCAN = "select count(*), sum(attempts), max(received_at) from inbox"


@dataclass(frozen=True, slots=True)
class _Sides:
    """Connections that are open for the whole measurement."""

    tenant: Any
    system: Any
    superuser: Any
    tenant_id: UUID


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Fill a table and scan it on both sides."""
    # Nothing that is measured writes, so how durable writes are is no matter.
    with (
        own_folder() as folder,
        EmbeddedPostgres(folder / "postgres", fsync=False, throw_away=True) as server,
        contextmanager(service_database)(
            server.url, TENANCY.prefix, TENANCY.package_folder, TENANCY.system_roles
        ) as database,
    ):
        return [asyncio.run(rls_scan_ratio(database, sizes, say))]


async def rls_scan_ratio(database: ServiceDatabase, sizes: Sizes, say: Say) -> Bar:
    """Fill the table of a migrated database of tenancy and compare.

    Raises:
        AssertionError: a tenant sees other rows than its own, or its scan reads everybody's.
    """
    rows, tenants = sizes.rows, max(1, sizes.rows // TENANT_ROWS)
    doors = database.open()
    superuser = await asyncpg.connect(database.admin_url)
    try:
        say(f"filling a table with {rows} rows of {tenants} tenants")
        await superuser.execute(LOAD.replace("$1", str(rows)).replace("$2", str(tenants)))
        await superuser.execute("vacuum analyze inbox")
        tenant_id = await superuser.fetchval("select tenant_id from inbox limit 1")
        async with doors.direct("app") as tenant, doors.direct("inbox") as system:
            sides = _Sides(tenant, system, superuser, tenant_id)
            return await _compared(sides, sizes, say)
    finally:
        await superuser.close()
        await doors.close()


async def _compared(sides: _Sides, sizes: Sizes, say: Say) -> Bar:
    expected = await sides.superuser.fetchval("select count(*) from inbox where tenant_id = $1", sides.tenant_id)
    assert await _seen_by(sides) == expected, "the tenant's door does not see exactly the tenant's rows"
    say(f"scanning {expected} rows of one tenant, and all")
    one = await interleaved(lambda: _as_tenant(sides), lambda: _by_hand(sides), sizes.pairs * TENANT_PAIRS)
    everything = await interleaved(lambda: _all(sides.system), lambda: _all(sides.superuser), sizes.pairs * PAIRS)
    ratios = {"one tenant's rows": median_ratio(one), "all rows": median_ratio(everything)}
    worst = max(ratios, key=lambda name: ratios[name])
    return replace(
        RLS_SCAN_RATIO,
        value=ratios[worst],
        peer=f"the same scans as superuser with the tenant in WHERE, {sizes.rows} rows",
        limiting_stage=worst,
        note="; ".join(f"{name}: {ratio:.3f}" for name, ratio in ratios.items()),
    )


async def _seen_by(sides: _Sides) -> int:
    """Return how many rows the tenant sees. Without an index both sides would be slow, and the ratio none the wiser."""
    async with sides.tenant.transaction():
        await sides.tenant.execute("select set_config($1, $2, true)", TENANT_SETTING, str(sides.tenant_id))
        plan = "\n".join(row[0] for row in await sides.tenant.fetch(f"explain {SCAN}"))
        assert "Seq Scan" not in plan, f"a tenant's scan reads everybody's rows:\n{plan}"
        return int(await sides.tenant.fetchval("select count(*) from inbox"))


async def _as_tenant(sides: _Sides) -> float:
    """Return the seconds of a tenant's scans, within one transaction as the service would open it."""
    async with sides.tenant.transaction():
        await sides.tenant.execute("select set_config($1, $2, true)", TENANT_SETTING, str(sides.tenant_id))
        scan = await sides.tenant.prepare(SCAN)
        return await _seconds(scan.fetchrow, TENANT_SCANS)


async def _by_hand(sides: _Sides) -> float:
    async with sides.superuser.transaction():
        scan = await sides.superuser.prepare(f"{SCAN} where tenant_id = $1")
        return await _seconds(lambda: scan.fetchrow(sides.tenant_id), TENANT_SCANS)


async def _all(connection: Any) -> float:
    return await _seconds(lambda: connection.fetchrow(SCAN), 1)


async def _seconds(scan: Callable[[], Awaitable[Any]], times: int) -> float:
    """Return the seconds of so many scans, after one that warms up."""
    await scan()
    began = time.perf_counter()
    for _ in range(times):
        await scan()
    return time.perf_counter() - began
