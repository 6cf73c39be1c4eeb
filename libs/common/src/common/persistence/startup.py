"""What must be true of a database before a part serves from it.

A service that finds itself privileged, on an old schema or without its policies refuses to start.
"""

import logging
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.persistence.database import Database
from common.persistence.migrate import current, head
from common.persistence.scope import TENANT_SETTING

log = logging.getLogger(__name__)

FIXED_IN = {15: 20, 16: 16, 17: 12, 18: 6}
"""Oldest minor release of each major with the row-level security fixes of November 2026 (CVE-2026-120154)."""


class UnsafeDatabase(RuntimeError):
    """The database or the login is not fit to serve from; the message says what to do."""


_PRIVILEGED = text("""
    select r.rolsuper, r.rolbypassrls,
           (select count(*) from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p'))
    from pg_roles r where r.rolname = current_user""")

_BORROWED = text("""
    select r.rolname from pg_roles r
    where r.rolname <> current_user and pg_has_role(current_user, r.oid, 'MEMBER')
      and (r.rolsuper or r.rolbypassrls
           or exists (select 1 from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p'))
           or exists (select 1 from pg_policy p where r.oid = any (p.polroles)))
    order by 1""")
"""Policies bind the members of a role too: one that reads across tenants must have none."""

_UNGUARDED = text("""
    select c.relname from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and not (c.relrowsecurity and c.relforcerowsecurity and (c.relispartition or exists (
          select 1 from pg_policy p where p.polrelid = c.oid
          and pg_get_expr(p.polqual, p.polrelid) like '%' || :setting || '%')))
    order by 1""")


async def _check_role(connection: AsyncConnection) -> None:
    superuser, bypasses, owned = (await connection.execute(_PRIVILEGED)).one()
    role = await connection.scalar(text("select current_user"))
    if superuser or bypasses or owned:
        msg = (
            f"role {role} is {'superuser' if superuser else 'BYPASSRLS' if bypasses else 'owner of tables'}:"
            " row-level security would not bind it; create the roles with `create-database`"
        )
        raise UnsafeDatabase(msg)
    borrowed = (await connection.execute(_BORROWED)).scalars().all()
    if borrowed:
        msg = f"role {role} is a member of {', '.join(borrowed)}: row-level security would not bind it; revoke that"
        raise UnsafeDatabase(msg)


async def _check_schema(connection: AsyncConnection, package_folder: Path) -> None:
    found = await connection.run_sync(current)
    wanted = head(package_folder)
    if found != wanted:
        msg = f"the schema is at {found}, this code needs {wanted}: run `migrate` first"
        raise UnsafeDatabase(msg)


async def _check_policies(connection: AsyncConnection) -> None:
    unguarded = (await connection.execute(_UNGUARDED, {"setting": TENANT_SETTING})).scalars().all()
    if unguarded:
        msg = f"tables without forced row-level security: {', '.join(unguarded)}"
        raise UnsafeDatabase(msg)


async def _check_server(connection: AsyncConnection, *, production: bool) -> None:
    number = int(await connection.scalar(text("select current_setting('server_version_num')")) or 0)
    major, minor = divmod(number, 10_000)
    if major in FIXED_IN and minor >= FIXED_IN[major]:
        return
    if major > max(FIXED_IN):
        return
    msg = f"PostgreSQL {major}.{minor} lacks security fixes of row-level security; update the server"
    if production or major < min(FIXED_IN):
        raise UnsafeDatabase(msg)
    log.warning(msg)


async def check_database(database: Database, doors: tuple[str, ...], package_folder: Path, *, production: bool) -> None:
    """Refuse an unfit database.

    Raises:
        UnsafeDatabase: A login is privileged, the schema is not at the code's revision, a tenant table lacks its
            policy, or (in production) the server lacks security fixes.
    """
    for door in doors:
        async with database.engine(door).connect() as connection:
            await _check_role(connection)
    async with database.engine("app").connect() as connection:
        await _check_server(connection, production=production)
        await _check_schema(connection, package_folder)
        await _check_policies(connection)
