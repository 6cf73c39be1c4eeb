"""Looks for an organization's id in every row of every table, as a superuser whom no policy keeps anything from."""

from collections.abc import Mapping
from uuid import UUID

import asyncpg

_TABLES = """
    select c.relname from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1"""


async def find_leftovers(database_url: str, tenant_id: UUID) -> Mapping[str, int]:
    """Return the tables whose rows name the organization anywhere, with how many rows do.

    Args:
        database_url: ``postgresql://superuser:password@host:port/<the service's database>``.
        tenant_id: Whose id is looked for, in every column, documents included.
    """
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        found = {}
        for table in await connection.fetch(_TABLES):
            name = table["relname"]
            count = await connection.fetchval(
                f'select count(*) from "{name}" as t where t::text like $1',  # noqa: S608
                f"%{tenant_id}%",
            )
            if count:
                found[name] = count
        return found
    finally:
        await connection.close()
