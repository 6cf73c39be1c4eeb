"""Makes a service's database and its login roles, as a superuser; `migrate` does the rest as the owner.

Repeating it changes nothing but the passwords, which it sets to those given.
"""

from collections.abc import Iterable

import asyncpg

STANDARD_DOORS = ("app", "user", "relay", "inbox", "mailer", "audit", "eraser")

ROLE_DEFAULTS = {
    "lock_timeout": "3s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "15s",
}
"""What no run-time role may exceed; a stuck transaction must not hold rows that others wait for."""


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


async def _ensure_role(admin: asyncpg.Connection, role: str, password: str) -> None:
    exists = await admin.fetchval("select 1 from pg_roles where rolname = $1", role)
    verb = "alter" if exists else "create"
    await admin.execute(
        f'{verb} role "{role}" login nosuperuser nobypassrls nocreatedb nocreaterole noreplication'
        f" password {_literal(password)}"
    )


async def create_roles(
    admin_url: str, prefix: str, system_roles: Iterable[str], *, password: str, owner_password: str
) -> None:
    """Create or correct the owner, the doors and the system roles of a service.

    Args:
        admin_url: ``postgresql://superuser:password@host:port/postgres``.
        prefix: Role prefix, such as ``billing``.
        system_roles: Suffixes of the service's system roles.
        password: Password of every run-time role.
        owner_password: Password of the owner role.
    """
    admin = await asyncpg.connect(admin_url, timeout=10)
    try:
        async with admin.transaction():
            await admin.execute("select pg_advisory_xact_lock(hashtext('ebm-roles'))")
            await _ensure_role(admin, f"{prefix}_owner", owner_password)
            for suffix in (*STANDARD_DOORS, *system_roles):
                role = f"{prefix}_{suffix}"
                await _ensure_role(admin, role, password)
                for name, value in ROLE_DEFAULTS.items():
                    await admin.execute(f"alter role \"{role}\" set {name} = '{value}'")
    finally:
        await admin.close()


async def create_database(admin_url: str, name: str, prefix: str, *, template: str | None = None) -> None:
    """Create a database that its owner owns and only the service's roles may enter.

    An existing one keeps all it holds, and roles that came after it may enter it too.
    """
    admin = await asyncpg.connect(admin_url, timeout=10)
    try:
        exists = await admin.fetchval("select 1 from pg_database where datname = $1", name)
        if not exists:
            copied = f'template "{template}"' if template else "template template0 encoding 'UTF8'"
            await admin.execute(f'create database "{name}" owner "{prefix}_owner" {copied}')
        await admin.execute(f'revoke connect, temporary on database "{name}" from public')
        roles = await admin.fetch("select rolname from pg_roles where rolname like $1", f"{prefix}\\_%")
        for row in roles:
            await admin.execute(f'grant connect on database "{name}" to "{row["rolname"]}"')
    finally:
        await admin.close()
    if template is None:
        await _close_schema(admin_url, name, prefix)


async def _close_schema(admin_url: str, name: str, prefix: str) -> None:
    inside = await asyncpg.connect(admin_url, database=name, timeout=10)
    try:
        await inside.execute(f'alter schema public owner to "{prefix}_owner"')
        await inside.execute("revoke create on schema public from public")
    finally:
        await inside.close()


async def drop_database(admin_url: str, name: str) -> None:
    """Drop a database if it exists, ending whoever is connected."""
    admin = await asyncpg.connect(admin_url, timeout=10)
    try:
        await admin.execute(f'drop database if exists "{name}" with (force)')
    finally:
        await admin.close()
