"""What must hold for each table of each service, read from PostgreSQL's own catalogue."""

import json
from pathlib import Path

import pytest
from common.persistence.access import read_access
from common.persistence.rls import IDENTITY_COLUMNS
from common.persistence.startup import check_database
from devstack.members import Member
from sqlalchemy import text

HERE = Path(__file__).parent
ALLOWED = HERE / "tenantless_tables.json"
GLOBAL_KEYS = HERE / "global_keys.json"
TENANT_TABLES = """
    select c.oid, c.relname, c.relispartition, c.relrowsecurity, c.relforcerowsecurity
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 2"""


@pytest.mark.invariant("S2")
def test_every_table_with_a_tenant_has_forced_row_security_and_a_policy_on_the_setting(query, member: Member) -> None:
    tables = query(TENANT_TABLES)
    assert len(tables) > 5
    for table in tables:
        policies = query(
            "select polname, pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as check"
            " from pg_policy where polrelid = $1 and polname = 'tenant'",
            table["oid"],
        )
        if table["relispartition"]:
            granted = query(
                "select grantee from information_schema.role_table_grants where table_name = $1 and grantee <> $2",
                table["relname"],
                f"{member.prefix}_owner",
            )
            assert not granted, f"{table['relname']} is a partition: nobody enters but by its parent"
            continue
        assert table["relrowsecurity"], table["relname"]
        assert table["relforcerowsecurity"], table["relname"]
        assert len(policies) == 1, table["relname"]
        assert "app.tenant_id" in policies[0]["using"], table["relname"]
        assert policies[0]["using"] == policies[0]["check"], table["relname"]


@pytest.mark.invariant("S2")
def test_tables_without_a_tenant_are_those_that_are_meant_to_be(query, member: Member) -> None:
    found = {
        row["relname"]
        for row in query(
            "select relname from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
            " and not exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id')"
        )
    }
    allowed = json.loads((ALLOWED).read_text())[member.name]
    assert found == set(allowed), "say in tenantless_tables.json why a new table has no tenant"


@pytest.mark.invariant("S8")
def test_keys_of_tenant_tables_lead_with_the_tenant(query) -> None:
    rows = query("""
        select c.relname, k.conname, k.contype::text as kind, (select array_agg(a.attname::text order by u.ord)
               from unnest(k.conkey) with ordinality u(num, ord)
               join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num) as columns,
               exists (select 1 from pg_attribute a
                       where a.attrelid = k.confrelid and a.attname = 'tenant_id') as to_tenant
        from pg_constraint k join pg_class c on c.oid = k.conrelid
        where c.relnamespace = 'public'::regnamespace and k.contype in ('p', 'u', 'f') and not c.relispartition
          and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'
                      and not a.attisdropped)""")
    mechanisms = {"outbox", "inbox", "mails", "audit_log"}
    wrong = [
        f"{row['relname']}.{row['conname']} {row['columns']}"
        for row in rows
        if row["relname"] not in mechanisms
        and row["columns"][0] != "tenant_id"
        and (row["kind"] != "f" or row["to_tenant"])
    ]
    allowed = json.loads(GLOBAL_KEYS.read_text())
    assert {w.split(" ")[0] for w in wrong} <= set(allowed), wrong


@pytest.mark.invariant("S7")
def test_no_role_may_update_whose_a_row_is(query, member: Member) -> None:
    rows = query(
        "select table_name, column_name, grantee from information_schema.column_privileges"
        " where table_schema = 'public' and privilege_type = 'UPDATE' and grantee like $1 and grantee <> $2"
        " and column_name = any($3::text[])",
        f"{member.prefix}\\_%",
        f"{member.prefix}_owner",
        sorted(IDENTITY_COLUMNS),
    )
    assert rows == []


@pytest.mark.invariant("S69")
def test_the_persons_door_only_reads_tables_that_carry_a_tenant(query, member: Member) -> None:
    rows = query(
        "select distinct p.table_name, p.privilege_type from information_schema.column_privileges p"
        " join information_schema.columns c on c.table_name = p.table_name and c.column_name = 'tenant_id'"
        " where p.grantee = $1 and p.privilege_type <> 'SELECT'",
        f"{member.prefix}_user",
    )
    assert rows == []


@pytest.mark.invariant("S3")
def test_no_role_of_a_service_is_privileged(query, member: Member) -> None:
    roles = query(
        "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname like $1",
        f"{member.prefix}\\_%",
    )
    assert len(roles) >= 6
    assert not [
        r["rolname"] for r in roles if any((r["rolsuper"], r["rolbypassrls"], r["rolcreaterole"], r["rolcreatedb"]))
    ]
    owners = {
        row["rolname"]
        for row in query(
            "select distinct r.rolname from pg_class c join pg_roles r on r.oid = c.relowner"
            " where c.relnamespace = 'public'::regnamespace"
        )
    }
    assert owners == {f"{member.prefix}_owner"}


@pytest.mark.invariant("S11")
def test_views_run_as_their_reader_and_nothing_else_leaks(query) -> None:
    views = query(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v'"
        " and not coalesce(reloptions, '{}') @> array['security_invoker=true']"
    )
    materialized = query("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'm'")
    assert (views, materialized) == ([], [])


@pytest.mark.invariant("S10")
async def test_no_plan_reads_the_setting_per_row(database, member: Member) -> None:
    doors = database.open()
    try:
        from common.ids import uuid7
        from common.persistence import Scope

        async with doors.session("app", Scope(tenant_id=uuid7())) as session:
            tables = (
                await session.scalars(
                    text(
                        "select distinct table_name from information_schema.column_privileges where grantee = current_user"
                        " and privilege_type = 'SELECT' and column_name = 'tenant_id'"
                    )
                )
            ).all()
            assert len(tables) > 5
            for table in tables:
                plan = "\n".join(
                    (await session.scalars(text(f"explain (costs off) select tenant_id from {table}"))).all()
                )
                assert "InitPlan" in plan, f"{table}: {plan}"
                assert plan.count("current_setting") <= plan.count("InitPlan"), f"{table}: {plan}"
    finally:
        await doors.close()


@pytest.mark.invariant("S1")
async def test_without_a_tenant_every_table_of_the_tenants_door_is_empty_and_refuses(database, member: Member) -> None:
    from common.persistence import Scope
    from sqlalchemy.exc import DBAPIError

    doors = database.open()
    try:
        async with doors.session("app", Scope()) as session:
            tables = (
                await session.scalars(
                    text(
                        "select distinct p.table_name from information_schema.column_privileges p"
                        " where p.grantee = current_user and p.privilege_type = 'INSERT' and p.column_name = 'tenant_id'"
                    )
                )
            ).all()
        assert len(tables) > 3
        for table in tables:
            with pytest.raises(DBAPIError, match="row-level security"):
                async with doors.session("app", Scope()) as session:
                    columns = (
                        await session.execute(
                            text(
                                "select column_name, data_type from information_schema.columns where table_name = :t"
                                " and is_nullable = 'NO' and column_default is null and is_identity = 'NO'"
                            ),
                            {"t": table},
                        )
                    ).all()
                    names = [c for c, _ in columns] + ([] if "tenant_id" in {c for c, _ in columns} else ["tenant_id"])
                    kinds = dict(columns)
                    values = [VALUES.get(kinds.get(name, "uuid"), "''") for name in names]
                    await session.execute(
                        text(f"insert into {table} ({', '.join(names)}) values ({', '.join(values)})")
                    )
    finally:
        await doors.close()


VALUES = {
    "uuid": "gen_random_uuid()",
    "integer": "1",
    "bigint": "1",
    "smallint": "1",
    "boolean": "true",
    "timestamp with time zone": "now()",
    "date": "current_date",
    "jsonb": "'{}'",
    "json": "'{}'",
    "bytea": "''",
    "numeric": "1",
    "ARRAY": "'{}'",
    "double precision": "1",
}


@pytest.mark.invariant("S4")
async def test_every_service_starts_on_its_own_fresh_database(database, member: Member) -> None:
    doors = database.open()
    try:
        roles = ("app", "user", "relay", "inbox", "mailer", *member.system_roles)
        await check_database(doors, roles, member.package_folder, production=True)
    finally:
        await doors.close()


@pytest.mark.invariant("S2")
async def test_grants_and_policies_are_the_committed_ones(database, member: Member) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(database.admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            found = await read_access(connection, member.prefix)
    finally:
        await engine.dispose()
    committed = member.package_folder.parents[1] / "contracts" / "access.json"
    assert json.loads(committed.read_text()) == json.loads(json.dumps(found)), (
        f"{committed.name} of {member.name} is not what the migrations grant; run `make contracts` and read the difference"
    )
