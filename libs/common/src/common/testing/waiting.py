"""Waiting on a condition, never on time."""

import asyncio
import inspect
import os
from collections.abc import Callable
from typing import Any

PATIENCE_SETTING = "EBM_TEST_PATIENCE_SECONDS"
"""How long a condition is waited for where its test does not say; less where most tests are meant to fail."""


async def eventually(condition: Callable[[], Any], *, seconds: float | None = None, what: str = "") -> Any:
    """Return the first true value of ``condition`` (sync or async); fail after ``seconds``, a minute unless given."""
    seconds = float(os.environ.get(PATIENCE_SETTING, "60")) if seconds is None else seconds
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        await asyncio.sleep(0.02)
