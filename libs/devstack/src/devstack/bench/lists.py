"""Lists that grow with an organization's life, among 10 000 organizations with a million rows and among 100.

Tenancy's is the audit log, backup-engine's the restore points with their disks, each as its own repository reads it
through the tenant's door.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg
from backup_engine.persistence.unit_of_work import UnitOfWork as EngineWork
from common.clock import SystemClock
from common.persistence import Store
from common.testing import service_database
from common.testing.databases import ServiceDatabase
from tenancy.domain.audit import AuditFilter
from tenancy.persistence.unit_of_work import UnitOfWork as TenancyWork

from devstack.bench.apart import folder as own_folder
from devstack.bench.crowds import EACH, PAGE, Crowd, customers, fill, page_seconds
from devstack.bench.figures import LISTS
from devstack.bench.measuring import Say, Sizes, median_ratio
from devstack.bench.report import Bar
from devstack.members import BACKUP_ENGINE, TENANCY
from devstack.servers.postgres import EmbeddedPostgres

AUDIT = """
insert into audit_entries
  (tenant_id, source, id, number, at, actor, action, target, reason, address, details)
select md5('tenant ' || n % {customers})::uuid, 'billing', md5('entry ' || n)::uuid, n,
  now() - n * interval '1 second', 'user:' || md5('user ' || n % {customers}), 'order.paid', 'order:' || n,
  'paid by its provider''s word', '192.0.2.1', jsonb_build_object('amount_minor', n, 'currency', 'XAF')
from generate_series(1, {rows}) as n
"""
POINTS = """
insert into restore_points
  (tenant_id, id, vm_id, server_id, vault_id, job_id, token, manifest, manifest_sha256, state, mode, vm_name,
   snapshot_at, committed_at, keep_until, capacity_bytes, seconds_total, warnings)
select md5('tenant ' || n % {customers})::uuid, md5('point ' || n)::uuid, md5('vm ' || n % {customers})::uuid,
  md5('server')::uuid, md5('vault')::uuid, md5('job ' || n)::uuid, 1, 'points/' || n || '.1', md5('a') || md5('b'),
  'live', 'incremental', 'web', now() - n * interval '1 second', now() - n * interval '1 second',
  now() + interval '60 days', 8388608, 12, '[]'
from generate_series(1, {rows}) as n
"""
DISKS = """
insert into point_disks (tenant_id, point_id, key, label, capacity_bytes, root, mode, transport, transport_reason)
select md5('tenant ' || n % {customers})::uuid, md5('point ' || n)::uuid, 2000, 'Hard disk 1', 8388608,
  decode(md5('root ' || n), 'hex'), 'incremental', 'lease', 'the first that is fit'
from generate_series(1, {rows}) as n
"""


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Fill databases and read them."""
    # What is timed only reads, so how durable writes are is no matter.
    with (
        own_folder() as folder,
        EmbeddedPostgres(folder / "postgres", fsync=False, throw_away=True) as server,
        ExitStack() as exits,
    ):

        def database(member: Any) -> ServiceDatabase:
            made = contextmanager(service_database)(
                server.url, member.prefix, member.package_folder, member.system_roles
            )
            return exits.enter_context(made)

        tenancy, engine = ((database(member), database(member)) for member in (TENANCY, BACKUP_ENGINE))
        return [asyncio.run(lists_ratio(tenancy, engine, sizes, say))]


Pair = tuple[ServiceDatabase, ServiceDatabase]
"""A migrated database for few organizations, and one for many."""


async def lists_ratio(tenancy: Pair, engine: Pair, sizes: Sizes, say: Say) -> Bar:
    """Fill migrated, empty databases, and compare; the worse of the two lists counts."""
    few, many = customers(sizes.rows)
    for number, count in enumerate((few, many)):
        say(f"{count * EACH} rows of {count} organizations in each table")
        told = {"customers": count, "rows": count * EACH}
        await fill(tenancy[number].admin_url, AUDIT.format(**told))
        await fill(engine[number].admin_url, POINTS.format(**told), DISKS.format(**told))
    found = {}
    for name, pair, opened in (("audit log", tenancy, audit_log), ("restore points", engine, restore_points)):
        say(f"reading pages of the {name}")
        async with opened(pair[0]) as small, opened(pair[1]) as large:
            found[name] = await page_seconds(large, small, sizes.pairs)
    ratios = {name: median_ratio(pairs) for name, pairs in found.items()}
    worst = max(ratios, key=lambda name: ratios[name])
    return replace(
        LISTS,
        value=ratios[worst],
        peer=f"the same page with {few} organizations instead of {many}, {EACH} rows each",
        limiting_stage=worst,
        note="; ".join(f"{name}: {ratios[name]:.3f}, p50 {_p50s(pairs)}" for name, pairs in found.items()),
    )


def _p50s(pairs: list[tuple[float, float]]) -> str:
    many, few = (median(pair[side] for pair in pairs) * 1000 for side in (0, 1))
    return f"{many:.2f} ms against {few:.2f} ms"


@asynccontextmanager
async def audit_log(database: ServiceDatabase) -> AsyncIterator[Crowd]:
    """The audit logs of a database's organizations."""
    doors = database.open()
    store = Store(doors, TenancyWork, SystemClock())

    async def page(tenant_id: UUID) -> int:
        async with store.for_tenant(tenant_id) as uow:
            return len(await uow.audit_trail.page(tenant_id, AuditFilter(), before=None, limit=PAGE))

    try:
        yield Crowd(await _tenants(database, "audit_entries"), page)
    finally:
        await doors.close()


@asynccontextmanager
async def restore_points(database: ServiceDatabase) -> AsyncIterator[Crowd]:
    """The restore points of a database's organizations, each with its disk."""
    doors = database.open()
    store = Store(doors, EngineWork, SystemClock())

    async def page(tenant_id: UUID) -> int:
        async with store.for_tenant(tenant_id) as uow:
            return sum(len(point.disks) for point in await uow.points.page(None, None, PAGE))

    try:
        yield Crowd(await _tenants(database, "restore_points"), page)
    finally:
        await doors.close()


async def _tenants(database: ServiceDatabase, table: str) -> list[UUID]:
    superuser = await asyncpg.connect(database.admin_url)
    try:
        return [row["tenant_id"] for row in await superuser.fetch(f"select distinct tenant_id from {table}")]
    finally:
        await superuser.close()
