"""What becomes of each table when an organization is deleted is decided, and happens (S13)."""

import asyncio
import importlib
import json
import re
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from common.clock import SystemClock
from common.ids import uuid7
from common.persistence import Store
from common.persistence.erasure import Eraser, ErasurePlan
from common.persistence.leftovers import find_leftovers
from common.persistence.transaction import Transaction
from common.testing import ServiceDatabase, service_database
from devstack.members import Member

pytestmark = pytest.mark.integration

COLUMNS = """
    select c.table_name, c.column_name, c.udt_name, c.is_identity, c.character_maximum_length as longest
    from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where table_schema = 'public' and t.table_type = 'BASE TABLE' order by c.ordinal_position"""
PARTITION = re.compile(r"\w+_\d+")
VALUES = {
    "uuid": "gen_random_uuid()", "int2": "1", "int4": "1", "int8": "1", "bool": "true", "timestamptz": "now()",
    "date": "current_date", "jsonb": "'{}'", "bytea": "gen_random_uuid()::text::bytea", "float8": "1",
    "numeric": "1", "interval": "'1 s'",
}  # fmt: skip
STATES = {"inbox.status": "'done'", "mails.sent_at": "now()", "outbox.published_at": "now()"}


def plan_of(member: Member) -> ErasurePlan:
    plan: ErasurePlan = importlib.import_module(f"{member.module}.persistence.erasure").PLAN
    return plan


def test_it_is_decided_for_every_table_with_a_tenant_whether_it_is_deleted_emptied_or_kept(member: Member) -> None:
    metadata = importlib.import_module(f"{member.module}.persistence.tables").metadata
    with_tenant = {name for name, table in metadata.tables.items() if "tenant_id" in table.c}
    plan = plan_of(member)
    assert with_tenant <= plan.tables
    deleted = {target.table for target in plan.targets if target.empty is None}
    assert not deleted & set(plan.kept)
    assert all(len(reason) > 20 for reason in plan.kept.values())


@pytest.fixture
async def filled(postgres_url: str, member: Member) -> AsyncIterator[tuple[ServiceDatabase, UUID, UUID]]:
    """A database in which two organizations have a row in each table, whatever the columns mean."""
    made = service_database(postgres_url, member.prefix, member.package_folder, member.system_roles)
    database = await _in_thread(next, made)
    gone, stays = uuid7(), uuid7()
    admin = await asyncpg.connect(database.admin_url)
    try:
        await admin.execute("set session_replication_role = replica")
        checks = await admin.fetch(
            "select conname, conrelid::regclass::text as t from pg_constraint where contype = 'c'"
            " and connamespace = 'public'::regnamespace and conparentid = 0 and conislocal"
        )
        for check in checks:
            await admin.execute(f'alter table {check["t"]} drop constraint if exists "{check["conname"]}"')
        tables: dict[str, list[asyncpg.Record]] = {}
        for column in await admin.fetch(COLUMNS):
            if not PARTITION.fullmatch(column["table_name"]) and column["is_identity"] == "NO":
                tables.setdefault(column["table_name"], []).append(column)
        for name, columns in tables.items():
            for tenant in (gone, stays):
                await _fill(admin, name, columns, tenant)
        yield database, gone, stays
    finally:
        await admin.close()
        await _in_thread(next, made, None)


async def _in_thread(act, *arguments):
    """The fixture's generator runs event loops of its own."""
    return await asyncio.to_thread(act, *arguments)


NAMING = {"tenant_id", "scope_id", "last_tenant_id", "active_tenant_id"}


async def _fill(admin: asyncpg.Connection, table: str, columns: list[asyncpg.Record], tenant: UUID) -> None:
    if table == "alembic_version" or not NAMING & {column["column_name"] for column in columns}:
        return
    values = {}
    for column in columns:
        name, kind = column["column_name"], column["udt_name"]
        if name in NAMING:
            values[name] = f"'{tenant}'"
        elif f"{table}.{name}" in STATES:
            values[name] = STATES[f"{table}.{name}"]
        elif name in {"finished_at", "erased_at"}:
            values[name] = "null"
        elif kind in {"varchar", "text"}:
            values[name] = f"left('{uuid7().hex[::-1]}', {column['longest'] or 40})"
        else:
            values[name] = VALUES.get(kind, "'{}'")
    names = ", ".join(f'"{name}"' for name in values)
    await admin.execute(f"insert into {table} ({names}) values ({', '.join(values.values())})")


@pytest.mark.invariant("S13")
async def test_of_a_deleted_organization_nothing_is_left_but_what_is_meant_to_stay(filled, member: Member) -> None:
    database, gone, stays = filled
    before = await find_leftovers(database.admin_url, stays)
    assert len(before) > 8
    assert set(await find_leftovers(database.admin_url, gone)) == set(before)
    doors = database.open()
    unit = type("Unit", (Transaction,), {"source": member.name})
    try:
        store = Store(doors, unit, SystemClock())
        eraser = Eraser(store, plan_of(member))
        first, second = await eraser.erase(gone), await eraser.erase(gone)
    finally:
        await doors.close()
    assert first
    assert second == {}
    kept = plan_of(member).kept
    assert set(await find_leftovers(database.admin_url, gone)) <= set(kept)
    assert await find_leftovers(database.admin_url, stays) == before
    admin = await asyncpg.connect(database.admin_url)
    try:
        finished = await admin.fetch("select tenant_id, report from erasures where finished_at is not null")
    finally:
        await admin.close()
    assert [row["tenant_id"] for row in finished] == [gone]
    assert json.loads(finished[0]["report"]) == first
