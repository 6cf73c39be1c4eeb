"""Databases with rows of two organizations in every table that can name one, put there by the superuser."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from common.ids import uuid7
from common.testing import ServiceDatabase, service_database
from devstack.members import Member

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


@asynccontextmanager
async def two_in_every_table(postgres_url: str, member: Member) -> AsyncIterator[tuple[ServiceDatabase, UUID, UUID]]:
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
                await fill(admin, name, columns, tenant)
        yield database, gone, stays
    finally:
        await admin.close()
        await _in_thread(next, made, None)


async def _in_thread(act, *arguments):
    """The fixture's generator runs event loops of its own."""
    return await asyncio.to_thread(act, *arguments)


NAMING = {"tenant_id", "scope_id", "last_tenant_id", "active_tenant_id"}


async def fill(admin: asyncpg.Connection, table: str, columns: list[asyncpg.Record], tenant: UUID) -> None:
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
