"""What each role may do with each table, read from PostgreSQL's own catalogue.

A service commits the result as ``contracts/access.json``; a test compares. Nothing is granted by accident.
"""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_GRANTS = text("""
    select table_name, grantee, lower(privilege_type) as verb, null as columns
    from information_schema.role_table_grants
    where table_schema = 'public' and grantee like :roles and grantee <> :owner
    union all
    select g.table_name, g.grantee, lower(g.privilege_type), string_agg(g.column_name, ',' order by g.column_name)
    from information_schema.role_column_grants g
    where g.table_schema = 'public' and g.grantee like :roles and g.grantee <> :owner
      and not exists (select 1 from information_schema.role_table_grants t where t.table_schema = 'public'
                      and t.table_name = g.table_name and t.grantee = g.grantee and t.privilege_type = g.privilege_type)
    group by 1, 2, 3""")

_SECURITY = text("""
    select c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relkind,
           exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'
                   and not a.attisdropped) as has_tenant,
           coalesce((select json_object_agg(p.polname, json_build_object(
                'command', p.polcmd, 'permissive', p.polpermissive,
                'roles', (select json_agg(r.rolname order by r.rolname) from pg_roles r where r.oid = any(p.polroles)),
                'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)))
                from pg_policy p where p.polrelid = c.oid), '{}'::json) as policies
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
    order by 1""")


async def read_access(connection: AsyncConnection, service: str) -> dict[str, Any]:
    """Return table → role → verb → columns (``*`` for all), and each table's row-level security."""
    tables: dict[str, Any] = {}
    for row in await connection.execute(_SECURITY):
        tables[row.relname] = {
            "kind": row.relkind.decode() if isinstance(row.relkind, bytes) else row.relkind,
            "has_tenant": row.has_tenant,
            "partition": row.relispartition,
            "row_security": "forced" if row.relforcerowsecurity and row.relrowsecurity else "off",
            "policies": dict(sorted(row.policies.items())),
            "grants": {},
        }
    parameters = {"roles": f"{service}\\_%", "owner": f"{service}_owner"}
    for row in await connection.execute(_GRANTS, parameters):
        grants = tables[row.table_name]["grants"].setdefault(row.grantee, {})
        grants[row.verb] = row.columns or "*"
    for table in tables.values():
        table["grants"] = {role: dict(sorted(verbs.items())) for role, verbs in sorted(table["grants"].items())}
    return tables
