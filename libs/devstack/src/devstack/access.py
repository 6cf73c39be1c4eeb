"""``python -m devstack.access``: writes each service's ``contracts/access.json`` from a freshly migrated database.

Who may do what to which table is a contract like the others: generated, committed, compared in a test.
"""

import asyncio
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path

from common.persistence.access import read_access
from common.testing import service_database
from sqlalchemy.ext.asyncio import create_async_engine

from devstack.members import WITH_DATABASE, Member
from devstack.servers.postgres import EmbeddedPostgres


async def _write(member: Member, admin_url: str) -> Path:
    engine = create_async_engine(admin_url.replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with engine.connect() as connection:
            found = await read_access(connection, member.prefix)
    finally:
        await engine.dispose()
    path = member.package_folder.parents[1] / "contracts" / "access.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    return path


def main() -> None:
    """Start a PostgreSQL of its own, migrate every service, write what the catalogue says."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", fsync=False, throw_away=True)
        with server as running:
            for member in WITH_DATABASE:
                made = contextmanager(service_database)(
                    running.url, member.prefix, member.package_folder, member.system_roles
                )
                with made as database:
                    print(asyncio.run(_write(member, database.admin_url)))


if __name__ == "__main__":
    main()
