"""One migrated database per service, by the service's own declarations."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from common.testing import ServiceDatabase, service_database
from devstack.members import WITH_DATABASE, Member

from tests.architecture.houses import House, house_of
from tests.architecture.role_matrix import SERVICES
from tests.architecture.rows import two_in_every_table


@pytest.fixture(scope="session", params=WITH_DATABASE, ids=lambda member: member.name)
def member(request: pytest.FixtureRequest) -> Member:
    return request.param


@pytest.fixture(scope="session")
def databases(postgres_url: str) -> Iterator[dict[str, ServiceDatabase]]:
    with ExitStack() as exits:
        yield {
            member.name: exits.enter_context(
                contextmanager(service_database)(
                    postgres_url, member.prefix, member.package_folder, member.system_roles
                )
            )
            for member in WITH_DATABASE
        }


@pytest.fixture
def database(databases: dict[str, ServiceDatabase], member: Member) -> ServiceDatabase:
    return databases[member.name]


@pytest.fixture
def query(database: ServiceDatabase):
    """Run SQL as the superuser, who sees the catalogue."""

    def run(sql: str, *arguments: object) -> list[asyncpg.Record]:
        async def ask() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(database.admin_url)
            try:
                return await connection.fetch(sql, *arguments)
            finally:
                await connection.close()

        return asyncio.run(ask())

    return run


@pytest.fixture
async def filled(postgres_url: str, member: Member) -> AsyncIterator[tuple[ServiceDatabase, UUID, UUID]]:
    """A database of its own, in which two organizations have a row in each table."""
    async with two_in_every_table(postgres_url, member) as found:
        yield found


@pytest.fixture(params=SERVICES)
async def house(
    request: pytest.FixtureRequest, databases: dict[str, ServiceDatabase], tmp_path: Path
) -> AsyncIterator[House]:
    """Each service in turn, as an application in this process."""
    async with house_of(request.param, databases[request.param], tmp_path) as made:
        yield made
