"""A stack of processes for the tests that kill what is in it; one for all tests of a worker.

A test that has armed, stopped or killed a part leaves it as it found it: running, ready and without crash points.
All of them are for `make test-long`: a stack takes longer to start than most files of tests take to run.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from devstack.stack import Stack

from tests.crashes.purchases import Purchase, a_customer, buy, every_row, right_once

SETTLED_SECONDS = 600.0
REST_SECONDS = 3.0
START_SECONDS = 300.0
"""A stack takes 20 s to start on a quiet machine; a busy one is no defect of what is tested here."""

SETTINGS = {
    "ENVIRONMENT": "test",
    "BACKUP_ENGINE_LEASE_SECONDS": "30",
    "BACKUP_ENGINE_RECONCILE_MINUTES": "0.25",
    "BACKUP_ENGINE_RUNNER_SLOTS": "4",
    "BACKUP_ENGINE_RETRY_PAUSES_SECONDS": "[1]",
    "BACKUP_ENGINE_LIMIT_PER_SERVER": "32",
    "BACKUP_ENGINE_LIMIT_PER_DATASTORE": "32",
    "BACKUP_ENGINE_LIMIT_PER_ORGANIZATION": "32",
}
"""What is settable to be noticed soon; grace and margins are the product's own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def session_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("crashes"), settings=SETTINGS)
    try:
        asyncio.run(stack.start(seconds=START_SECONDS))
        stack.rabbitmq.sync_quorum()
        yield stack
    finally:
        asyncio.run(stack.remove())


@pytest.fixture
async def stack(session_stack: Stack) -> AsyncIterator[Stack]:
    """The stack as it was started, which the test has to leave; what it does not is mended for the next."""
    yield session_stack
    assert not await session_stack.mend(seconds=START_SECONDS)


@pytest.fixture(scope="session")
def neighbour(session_stack: Stack) -> Purchase:
    """Somebody who has bought before anything dies."""

    async def purchase() -> Purchase:
        async with await a_customer(session_stack) as customer:
            bought = await buy(customer, "mtn_momo")
        await right_once(session_stack, bought)
        await _settled(session_stack, bought.tenant_id)
        return bought

    return asyncio.run(purchase())


async def _settled(stack: Stack, tenant_id: str) -> None:
    """Wait until what a purchase sets going has come to rest; last comes the first report of usage, within minutes."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while not await stack.rows("billing", "SELECT 1 FROM usage_figures WHERE tenant_id = $1", tenant_id):
            await asyncio.sleep(1)
        before, now = None, await every_row(stack, tenant_id)
        while now != before:
            await asyncio.sleep(REST_SECONDS)
            before, now = now, await every_row(stack, tenant_id)


@pytest.fixture
async def untouched_neighbour(stack: Stack, neighbour: Purchase) -> AsyncIterator[None]:
    """Fail where any row of somebody else has changed."""
    before = await every_row(stack, neighbour.tenant_id)
    yield
    assert await every_row(stack, neighbour.tenant_id) == before
