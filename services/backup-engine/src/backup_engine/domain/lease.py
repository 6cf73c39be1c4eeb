"""Lease and fencing arithmetic: how long a claim holds, when a runner must stop by itself, which losses count.

The database's clock decides when a lease is over; the runner's monotonic clock decides when it stops acting.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from backup_engine.errors import LeaseTooOld

LEASE = timedelta(seconds=90)
"""How long a claim holds without renewal, unless a setting says otherwise: a dead runner costs minutes."""
SHORTEST_LEASE = timedelta(seconds=30)
"""The fence takes its margin of it; what is left bears several lost renewals."""
LONGEST_LEASE = timedelta(minutes=5)
"""A dead runner's snapshot grows for as long, and its removal may take the reconciler's turn beside it."""
RENEW_EVERY = timedelta(seconds=2)
"""Renewals carry live progress and bring back «stop», well within the 10 s in which a cancellation takes effect."""
FENCE_MARGIN = timedelta(seconds=15)
"""A runner stops this long before its lease can be over, so that a call it already sent ends before another begins."""
SNAPSHOT_GRACE = timedelta(seconds=60)
"""An earlier attempt's snapshot is left alone until its lease plus this is over."""
REPUBLISH_AFTER = timedelta(minutes=5)
"""A ready task that nobody claimed is published again: the message was lost with the broker or its runner."""
MAX_LOSSES = 3
"""The third lost lease without progress ends the task."""
PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
PROGRESS_BYTES = 1 << 30
PROGRESS_PERCENT = 1


@dataclass(slots=True)
class Fence:
    """The runner's own fence: raises instead of letting it act on a lease that may be over.

    ``lease`` counts from the moment at which the last successful renewal was *sent*, so an answer that took long
    shortens what is left.
    """

    lease: timedelta = LEASE
    now: Callable[[], float] = time.monotonic
    _until: float = field(init=False, default=float("-inf"))

    def renewed(self, sent_at: float) -> None:
        """Notes a successful renewal that was sent at ``sent_at`` (monotonic seconds)."""
        until = sent_at + (self.lease - FENCE_MARGIN).total_seconds()
        self._until = max(self._until, until)

    def remaining(self) -> float:
        """Seconds in which shared things may still be touched; negative once the fence is up."""
        return self._until - self.now()

    def check(self) -> None:
        """Raises LeaseTooOld when nothing outside this process may be touched any more."""
        if self.remaining() <= 0:
            raise LeaseTooOld


def loss_counts(stored_before: int, stored_now: int, expected_bytes: int) -> bool:
    """Whether a lost lease counts: only if the attempt stored less than 1 GiB and less than 1 % of new data.

    Args:
        stored_before: bytes stored at the last loss.
        stored_now: bytes stored now.
        expected_bytes: capacity of what is backed up; 0 when unknown.
    """
    gained = stored_now - stored_before
    enough = PROGRESS_BYTES if expected_bytes <= 0 else min(PROGRESS_BYTES, expected_bytes * PROGRESS_PERCENT // 100)
    return gained < max(enough, 1)
