"""Fixtures of backup-engine: a migrated database of its own; each test takes fresh tenants."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from backup_engine.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES
from backup_engine.settings import PREFIX
from backup_engine.testing.engine import Engine, engine_of
from common.testing import ServiceDatabase, service_database


@pytest.fixture(scope="session")
def database(postgres_url: str) -> Iterator[ServiceDatabase]:
    yield from service_database(postgres_url, PREFIX, PACKAGE_FOLDER, SYSTEM_ROLES)


@pytest.fixture
async def engine(database: ServiceDatabase, tmp_path: Path) -> AsyncIterator[Engine]:
    made = await engine_of(database, tmp_path)
    try:
        yield made
    finally:
        await made.close()
