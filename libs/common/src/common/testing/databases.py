"""A service's database for tests: migrated once into a template, then copied (35 ms) for each test process."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
from pydantic import SecretStr

from common.ids import uuid7
from common.persistence.database import Database
from common.persistence.migrate import upgrade
from common.persistence.provision import create_database, create_roles, drop_database
from common.settings import DatabaseSettings

PASSWORD = "test-password-of-all-roles"  # noqa: S105


@dataclass(frozen=True, slots=True)
class ServiceDatabase:
    """One migrated database of one service.

    Attributes:
        prefix: Role prefix.
        admin_url: Superuser's URL of this very database.
        settings: Settings as the service would read them.
    """

    prefix: str
    admin_url: str
    settings: DatabaseSettings

    def open(self) -> Database:
        """Return its doors; close them in the same event loop."""
        return Database(self.settings, self.prefix)


def _settings(admin_url: str, name: str) -> DatabaseSettings:
    parts = urlsplit(admin_url)
    return DatabaseSettings(
        database_url=f"postgresql://{parts.hostname}:{parts.port}/{name}",
        database_password=SecretStr(PASSWORD),
        database_owner_password=SecretStr(PASSWORD),
        database_pool_size=8,
    )


def _fingerprint(package_folder: Path) -> str:
    """Return a short hash of everything that shapes the schema: the service's tables and ours."""
    digest = hashlib.sha256()
    ours = Path(__file__).parents[1] / "persistence"
    for folder in (package_folder / "migrations", package_folder / "persistence", ours):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


async def _template(admin_url: str, prefix: str, package_folder: Path, system_roles: tuple[str, ...]) -> str:
    name = f"tpl_{prefix}_{_fingerprint(package_folder)}"
    lock = await asyncpg.connect(admin_url)
    try:
        await lock.execute("select pg_advisory_lock(hashtext($1))", f"template {prefix}")
        if not await lock.fetchval("select 1 from pg_database where datname = $1", f"{name}"):
            await create_roles(admin_url, prefix, system_roles, password=PASSWORD, owner_password=PASSWORD)
            making = f"{name}_making"
            await drop_database(admin_url, making)
            await create_database(admin_url, making, prefix)
            await upgrade(_settings(admin_url, making), prefix, package_folder)
            await lock.execute(f'alter database "{making}" rename to "{name}"')
    finally:
        await lock.close()
    return name


def service_database(
    admin_url: str, prefix: str, package_folder: Path, system_roles: tuple[str, ...]
) -> Iterator[ServiceDatabase]:
    """Yield a fresh copy of a service's migrated database, and drop it afterwards; body of a session fixture."""
    template = asyncio.run(_template(admin_url, prefix, package_folder, system_roles))
    name = f"test_{prefix}_{os.getpid()}_{uuid7().hex[-6:]}"
    asyncio.run(create_database(admin_url, name, prefix, template=template))
    try:
        own_url = admin_url.rpartition("/")[0] + f"/{name}"
        yield ServiceDatabase(prefix, own_url, _settings(admin_url, name))
    finally:
        asyncio.run(drop_database(admin_url, name))
