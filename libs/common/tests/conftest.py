"""Fixtures: the hotel's database and doors, and a broker of each kind."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from common.clock import SystemClock
from common.persistence import Store
from common.testing import ServiceDatabase, service_database
from hotel.service import SYSTEM_ROLES, UnitOfWork


@pytest.fixture(scope="session")
def hotel_database(postgres_url: str) -> Iterator[ServiceDatabase]:
    yield from service_database(postgres_url, "hotel", Path(__file__).parent / "hotel", SYSTEM_ROLES)


@pytest.fixture
async def store(hotel_database: ServiceDatabase) -> AsyncIterator[Store[UnitOfWork]]:
    database = hotel_database.open()
    yield Store(database, UnitOfWork, SystemClock())
    await database.close()
