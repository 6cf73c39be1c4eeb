"""A stack of processes for the tests that kill what is in it; one for all tests of a worker.

A test that has armed, stopped or killed a part leaves it as it found it: running, ready and without crash points.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from devstack.stack import PARTS, Stack

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session")
def session_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("crashes"), settings={"ENVIRONMENT": "test"})
    try:
        asyncio.run(stack.start())
        stack.rabbitmq.sync_quorum()
        yield stack
    finally:
        asyncio.run(stack.remove())


@pytest.fixture
async def stack(session_stack: Stack) -> AsyncIterator[Stack]:
    """The stack with every part ready, which it has to be again after the test."""
    await session_stack.ready(seconds=60)
    yield session_stack
    assert set(PARTS) <= set(session_stack.processes)
    await session_stack.ready(seconds=60)
