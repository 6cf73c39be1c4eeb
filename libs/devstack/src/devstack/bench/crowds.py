"""Lists of one customer's rows, among few customers and among many: whether one feels how large the table is.

The two take turns page by page, so whatever else the machine does meets both. Customers are drawn at random from all
there are; among many, most are asked about for the first time.
"""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from uuid import UUID

import asyncpg

from devstack.bench.measuring import interleaved

EACH = 100
"""Rows of one customer."""
PAGE = 50
FEWER = 100
"""In the small database there are so many times fewer customers."""
PAGES = 200
"""Pages of which one median is made."""
WARM = 20


@dataclass(frozen=True, slots=True)
class Crowd:
    """Customers with `EACH` rows, and a way to read a page of one of them, which tells how many rows it shows."""

    tenants: Sequence[UUID]
    page: Callable[[UUID], Awaitable[int]]


def customers(rows: int) -> tuple[int, int]:
    """Return how many customers there are in the small and in the large database."""
    many = max(2, rows // EACH)
    return max(1, many // FEWER), many


async def fill(admin_url: str, *statements: str) -> None:
    """Insert rows by statements as superuser, without a look at foreign keys; then settle what that left to do."""
    superuser = await asyncpg.connect(admin_url)
    try:
        await superuser.execute("set session_replication_role = replica")
        for statement in statements:
            await superuser.execute(statement)
        await superuser.execute("vacuum analyze")
        await superuser.execute("checkpoint")
    finally:
        await superuser.close()


async def page_seconds(many: Crowd, few: Crowd, pairs: int) -> list[tuple[float, float]]:
    """Return the median seconds of a page among many and among few, as often as there are pairs.

    Raises:
        AssertionError: a page shows less than it should.
    """
    chance = random.Random(1)

    async def timed(crowd: Crowd) -> float:
        tenant = chance.choice(crowd.tenants)
        began = time.perf_counter()
        shown = await crowd.page(tenant)
        taken = time.perf_counter() - began
        assert shown == PAGE, f"a page of {shown} rows"
        return taken

    await interleaved(lambda: timed(many), lambda: timed(few), WARM)
    found = []
    for _ in range(pairs):
        turns = await interleaved(lambda: timed(many), lambda: timed(few), PAGES)
        found.append((median(left for left, _ in turns), median(right for _, right in turns)))
    return found
