"""Rate limits within this process: a token bucket per session or address.

Replicas do not share them: with n replicas a client has up to n times the limit.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from gateway.errors import TooManyRequests

MOST_BUCKETS = 50_000
"""Buckets that are kept; the least recently used goes first, which only ever favours its client."""


class RateLimit:
    """Allows `per_minute` requests a minute to each key, a quarter of them (at least five) at once.

    Args:
        per_minute: sustained rate of one key.
        now: seconds of a clock that never goes back.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._burst = min(float(per_minute), max(5.0, per_minute / 4))
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one request.

        Raises:
            TooManyRequests: the key has used up its share; says when to come again.
        """
        now = self._now()
        left, at = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise TooManyRequests(retry_after=timedelta(seconds=(1 - left) / self._rate))
