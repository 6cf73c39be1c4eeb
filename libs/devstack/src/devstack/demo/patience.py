"""Waiting for a job: as long as it moves, or as the product rests between two attempts; not by the clock alone.

How fast a job moves is the machine's business; that it moves is the product's.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from devstack.customer import JSON, Customer

FINAL = {"completed", "completed_with_warnings", "failed", "cancelled"}
STILL_SECONDS = 120.0
"""A job of which nothing changed for so long hangs: two minutes are longer than a lease of a dead runner."""
REST_SECONDS = (60.0, 300.0, 900.0)
"""What the product rests after the first, second and third attempt (docs/data-plane.md)."""
POLL_SECONDS = 0.2


class Stuck(AssertionError):
    """A job stopped moving before its end; the message is how it stood."""


@dataclass
class Patience:
    """With one job; ``_since`` is when it was last seen to move."""

    _seen: str = ""
    _since: float = 0.0

    def check(self, job: JSON, now: float) -> None:
        """Look at the job at a moment, in seconds. Raises Stuck."""
        shown = json.dumps(job, sort_keys=True)
        if shown != self._seen:
            self._seen, self._since = shown, now
        still = now - self._since
        if still > STILL_SECONDS + max(map(_rest, job["tasks"]), default=0.0):
            raise Stuck(f"no change for {still:.0f} s: {shown[:1500]}")


async def ended(customer: Customer, path: str, watch: Callable[[JSON], None] = lambda _job: None) -> JSON:
    """Poll a job until it has ended, showing each answer to ``watch``.

    Raises:
        Stuck: Nothing of it changed for longer than the product may need.
    """
    patience = Patience()
    while True:
        job: JSON = await customer.get(path)
        watch(job)
        if job["status"] in FINAL:
            return job
        patience.check(job, asyncio.get_running_loop().time())
        await asyncio.sleep(POLL_SECONDS)


def _rest(task: JSON) -> float:
    """Seconds that a task may stand still after an attempt that failed."""
    if task["status"] != "waiting" or task["error"] is None:
        return 0.0
    return REST_SECONDS[min(max(task["attempts"], 1), len(REST_SECONDS)) - 1]
