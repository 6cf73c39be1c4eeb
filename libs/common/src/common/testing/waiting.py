"""Waiting on a condition, never on time."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
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


BUSY = 503
BUSY_SECONDS = 120.0


async def answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Return what a patient client is answered at last; fail after two minutes.

    A row that fifty requests want is not to be had within three seconds on a busy machine: 503 then says that nothing
    was changed, and to ask again.
    """
    deadline = asyncio.get_running_loop().time() + BUSY_SECONDS
    while True:
        answer = await ask()
        if answer.status_code != BUSY:
            return answer
        assert asyncio.get_running_loop().time() < deadline, f"busy for {BUSY_SECONDS} s: {answer.text}"
        await asyncio.sleep(0.2)
