"""The stack that the crash tests use does what they take for granted."""

import signal

import pytest
from devstack.stack import Stack

pytestmark = pytest.mark.e2e


async def test_a_part_reaching_an_armed_point_dies_of_sigkill_and_starts_again(stack: Stack) -> None:
    pid = stack.processes["billing-worker"].pid
    stack.send("billing-worker", signal.SIGKILL)
    assert await stack.dead("billing-worker") == -signal.SIGKILL
    await stack.start_part("billing-worker")
    assert stack.processes["billing-worker"].pid != pid
    plans = await stack.rows("billing", "SELECT count(*) AS count FROM plans")
    assert plans[0]["count"] > 0
