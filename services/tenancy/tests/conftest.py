"""Fixtures of tenancy's tests: a migrated database of their own; each test takes fresh tenants and people."""

from collections.abc import AsyncIterator, Iterator

import pytest
from common.testing import ServiceDatabase, service_database
from tenancy.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES
from tenancy.testing import Tenancy, tenancy_of


@pytest.fixture(scope="session")
def database(postgres_url: str) -> Iterator[ServiceDatabase]:
    yield from service_database(postgres_url, "tenancy", PACKAGE_FOLDER, SYSTEM_ROLES)


@pytest.fixture
async def tenancy(database: ServiceDatabase) -> AsyncIterator[Tenancy]:
    async with tenancy_of(database) as made:
        yield made
