"""Fixtures: the hotel's database and doors, and a broker of each kind."""

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from common.clock import SystemClock
from common.ids import uuid7
from common.messaging import inbox, relay
from common.persistence import Store
from common.testing import ServiceDatabase, service_database
from hotel.networks import InProcessNetwork, Network, RabbitNetwork, with_users
from hotel.service import SYSTEM_ROLES, UnitOfWork


@pytest.fixture(scope="session")
def hotel_database(postgres_url: str) -> Iterator[ServiceDatabase]:
    yield from service_database(postgres_url, "hotel", Path(__file__).parent / "hotel", SYSTEM_ROLES)


@pytest.fixture
async def store(hotel_database: ServiceDatabase) -> AsyncIterator[Store[UnitOfWork]]:
    database = hotel_database.open()
    yield Store(database, UnitOfWork, SystemClock())
    await database.close()


@pytest.fixture
def own_database(postgres_url: str) -> Iterator[ServiceDatabase]:
    """A database of this test's own: its relay publishes nothing of others."""
    yield from service_database(postgres_url, "hotel", Path(__file__).parent / "hotel", SYSTEM_ROLES)


@pytest.fixture
async def own_store(own_database: ServiceDatabase) -> AsyncIterator[Store[UnitOfWork]]:
    database = own_database.open()
    yield Store(database, UnitOfWork, SystemClock())
    await database.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a test: the same ways, in less time."""
    for longest in ("LONGEST_PAUSE", "LONGEST_PAUSE_AWAY"):
        monkeypatch.setattr(relay, longest, timedelta(seconds=0.2))
    monkeypatch.setattr(inbox, "pause_after", lambda _attempts: timedelta(seconds=0.02))


@pytest.fixture
def vhost(rabbitmq_server: Any) -> Iterator[Any]:
    """A virtual host with the product's users in it."""
    name = f"test-{uuid7().hex}"
    yield with_users(rabbitmq_server, name)
    rabbitmq_server.delete_vhost(name)


@pytest.fixture
async def rabbit(vhost: Any) -> AsyncIterator[RabbitNetwork]:
    async with RabbitNetwork(vhost) as network:
        yield network


@pytest.fixture(params=[InProcessNetwork, RabbitNetwork], ids=["in_process", "rabbitmq"])
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    if request.param is InProcessNetwork:
        yield InProcessNetwork()
        return
    async with RabbitNetwork(request.getfixturevalue("vhost")) as rabbit:
        yield rabbit
