"""Migrations: one Alembic history per service, inside its package, run as the owner role.

The owner runs with ``row_security = off``: a statement that a policy would filter then raises instead of
silently changing no row. Lock and statement timeouts and an advisory lock keep two deployers apart.
"""

from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from common.settings import DatabaseSettings

LOCK = 7_245_113
"""Key of the advisory lock that one migrating process holds; any number that nothing else uses."""

VERSION_TABLE = "alembic_version"


def config_for(package_folder: Path, connection: Connection | None = None) -> Config:
    """Return Alembic's configuration of the service whose package is in ``package_folder``."""
    config = Config()
    config.set_main_option("script_location", str(package_folder / "migrations"))
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head(package_folder: Path) -> str | None:
    """Return the newest revision that the code knows."""
    return ScriptDirectory.from_config(config_for(package_folder)).get_current_head()


def run_env(metadata: MetaData) -> None:
    """Be the body of a service's ``migrations/env.py``: run on the connection that `upgrade` opened."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=False,
        include_object=_ours,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def _ours(obj: Any, _name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """Leave partitions to their parent: Alembic would take them for tables nobody declared."""
    return not (kind == "table" and obj.info.get("partition"))


def _upgrade(connection: Connection, package_folder: Path, service: str) -> None:
    for statement in (
        "set lock_timeout = '4s'",
        "set statement_timeout = '10min'",
        "set row_security = off",
        f"select pg_advisory_lock({LOCK})",
    ):
        connection.execute(text(statement))
    command.upgrade(config_for(package_folder, connection), "head")
    for role in (
        connection.execute(
            text("select rolname from pg_roles where rolname like :p and rolname <> :o"),
            {"p": f"{service}\\_%", "o": f"{service}_owner"},
        )
        .scalars()
        .all()
    ):
        connection.execute(text(f'grant usage on schema public to "{role}"'))
        connection.execute(text(f'grant select on {VERSION_TABLE} to "{role}"'))


async def upgrade(settings: DatabaseSettings, service: str, package_folder: Path) -> None:
    """Bring the database to the newest revision; at the newest already, nothing happens."""
    if settings.database_owner_password is None:
        msg = "migrating needs the owner's password (…_DATABASE_OWNER_PASSWORD)"
        raise RuntimeError(msg)
    url = make_url(settings.database_url).set(
        drivername="postgresql+asyncpg",
        username=f"{service}_owner",
        password=settings.database_owner_password.get_secret_value(),
    )
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, package_folder, service)
    finally:
        await engine.dispose()


def current(connection: Connection) -> str | None:
    """Return the revision that the database is at."""
    return MigrationContext.configure(connection).get_current_revision()
