"""What of each table and column is in an organization's export is decided, and happens (S82, S83)."""

import importlib
import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from common.clock import SystemClock
from common.ids import uuid7
from common.persistence import Store
from common.persistence.erasure import ErasurePlan
from common.persistence.export import Exporter, ExportPlan, TooManyExports, looks_secret
from common.persistence.transaction import Transaction
from common.testing import ServiceDatabase
from devstack.members import Member

pytestmark = pytest.mark.integration

Filled = tuple[ServiceDatabase, UUID, UUID]


def plan_of(member: Member) -> ExportPlan:
    plan: ExportPlan = importlib.import_module(f"{member.module}.persistence.export").PLAN
    return plan


def exporter_on(database: ServiceDatabase, member: Member, **more: Any) -> tuple[Any, Exporter]:
    doors = database.open()
    unit = type("Unit", (Transaction,), {"source": member.name})
    return doors, Exporter(Store(doors, unit, SystemClock()), plan_of(member), service=member.name, **more)


async def exported(exporter: Exporter, tenant: UUID) -> str:
    async with exporter.of(tenant, actor=uuid7()) as pieces:
        return b"".join([piece async for piece in pieces]).decode()


def rows_in(text: str) -> dict[str, list[Any]]:
    """Rows by table, after the first and the last line have been looked at."""
    first, *between, last = [json.loads(line) for line in text.splitlines()]
    found: dict[str, list[Any]] = {}
    for line in between:
        found.setdefault(line["table"], []).append(line["row"])
    assert first["export"]["schema"]
    assert last["end"]["rows"] == len(between)
    assert {name: count for name, count in last["end"]["tables"].items() if count} == {
        name: len(rows) for name, rows in found.items()
    }
    return found


@pytest.mark.invariant("S82")
def test_it_is_decided_for_every_table_that_names_an_organization_whether_it_is_exported(query, member: Member) -> None:
    in_catalogue = {
        row["relname"]
        for row in query(
            "select relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
            " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
        )
    }
    erased: ErasurePlan = importlib.import_module(f"{member.module}.persistence.erasure").PLAN
    plan = plan_of(member)
    there = {table.name for table in plan.tables}
    assert in_catalogue | erased.tables <= there | set(plan.left_out)
    assert not there & set(plan.left_out)
    assert all(len(reason) > 20 for reason in plan.left_out.values())


@pytest.mark.invariant("S83")
def test_it_is_decided_for_every_column_that_looks_like_a_secret_whether_it_is_exported(query, member: Member) -> None:
    plan = plan_of(member)
    looking = {f"{table.name}.{column.name}" for table in plan.tables for column in table.c if looks_secret(column)}
    assert len(looking) > 3
    assert looking <= set(plan.withheld) | set(plan.shown)
    assert not set(plan.withheld) & set(plan.shown)
    existing = {
        f"{row['table_name']}.{row['column_name']}"
        for row in query("select table_name, column_name from information_schema.columns where table_schema = 'public'")
    }
    assert set(plan.withheld) | set(plan.shown) <= existing
    as_bytes = {
        f"{row['table_name']}.{row['column_name']}"
        for row in query("select table_name, column_name from information_schema.columns where udt_name = 'bytea'")
    }
    assert {name for name in as_bytes if name.split(".")[0] in {table.name for table in plan.tables}} <= looking


@pytest.mark.invariant("S82")
async def test_an_export_has_the_organizations_row_of_every_table_and_nothing_of_anothers(
    filled: Filled, member: Member
) -> None:
    database, mine, other = filled
    doors, exporter = exporter_on(database, member)
    try:
        text = await exported(exporter, mine)
    finally:
        await doors.close()
    found = rows_in(text)
    assert set(found) == {table.name for table in plan_of(member).tables}
    # That it was taken is in the log, and so in the export itself.
    assert {name: len(rows) for name, rows in found.items() if len(rows) != 1} == {"audit_log": 2}
    assert "organization.exported" in {row["action"] for row in found["audit_log"]}
    assert str(other) not in text
    assert {row["tenant_id"] for rows in found.values() for row in rows} == {str(mine)}


@pytest.mark.invariant("S83")
async def test_nothing_that_is_kept_in_a_withheld_column_or_table_is_in_the_export(
    filled: Filled, member: Member
) -> None:
    database, mine, _ = filled
    plan = plan_of(member)
    secrets = []
    admin = await asyncpg.connect(database.admin_url)
    try:
        for name in plan.withheld:
            table, column = name.split(".")
            value = await admin.fetchval(f'select "{column}" from {table} where tenant_id = $1', mine)
            secrets.append(value if isinstance(value, str) else value.hex())
    finally:
        await admin.close()
    assert len(secrets) == len(set(secrets)) == len(plan.withheld)
    doors, exporter = exporter_on(database, member)
    try:
        text = await exported(exporter, mine)
    finally:
        await doors.close()
    assert [secret for secret in secrets if not secret or secret in text] == []


@pytest.mark.invariant("S82")
async def test_an_export_is_of_one_moment_and_of_one_at_a_time(filled: Filled, member: Member) -> None:
    database, mine, other = filled
    doors, exporter = exporter_on(database, member, at_once=2)
    admin = await asyncpg.connect(database.admin_url)
    try:
        async with exporter.of(mine, actor=uuid7()) as pieces:
            text = [await anext(pieces)]
            # Committed by somebody else while the export goes on, into a table that it has not come to.
            await admin.execute("set session_replication_role = replica")
            await admin.execute("delete from audit_log where tenant_id = $1", mine)
            with pytest.raises(TooManyExports):
                await exported(exporter, mine)
            await exported(exporter, other)
            text += [piece async for piece in pieces]
        assert len(rows_in(b"".join(text).decode())["audit_log"]) == 2
        # It is over: the next one may begin, and sees what was committed.
        assert len(rows_in(await exported(exporter, mine))["audit_log"]) == 1
    finally:
        await admin.close()
        await doors.close()


@pytest.mark.invariant("S82")
async def test_an_export_that_is_broken_off_is_audited_and_leaves_no_transaction(
    filled: Filled, member: Member
) -> None:
    database, mine, _ = filled
    doors, exporter = exporter_on(database, member)
    admin = await asyncpg.connect(database.admin_url)
    try:
        async with exporter.of(mine, actor=uuid7()) as pieces:
            await anext(pieces)
        audited = "select count(*) from audit_log where tenant_id = $1 and action = 'organization.exported'"
        assert await admin.fetchval(audited, mine) == 1
        running = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"
        assert await admin.fetchval(running) == 0
        rows_in(await exported(exporter, mine))
    finally:
        await admin.close()
        await doors.close()
