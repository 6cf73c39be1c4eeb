"""Rate limits: what they are (GCRA, the generic cell rate algorithm), and counting them within this process.

A limit keeps one number per key: when its next request would be due if all came evenly. Requests may come early by as
much as the burst allows, so a key that is refused is served again after one interval, and no window ever turns over.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Protocol

from gateway.errors import TooManyRequests

MOST_KEYS = 100_000
"""Keys that are kept; the least recently used goes first, which only ever favours its client."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Limit:
    """`per_minute` requests a minute, a quarter of them (at least five) at once."""

    name: str
    per_minute: int

    @cached_property
    def interval(self) -> float:
        """Seconds between two requests that come evenly."""
        return 60 / self.per_minute

    @cached_property
    def burst(self) -> int:
        return min(self.per_minute, max(5, self.per_minute // 4))


@dataclass(frozen=True, slots=True)
class Demand:
    """One request that counts against a limit under a key: a person, an organization, an API key, an address."""

    limit: Limit
    key: str


@dataclass(frozen=True, slots=True)
class Share:
    """What is left to one key after a request, or how long it has to wait."""

    limit: Limit
    remaining: int
    wait_seconds: float = 0.0

    def headers(self) -> Headers:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)."""
        name, window = self.limit.name, max(1, round(self.limit.burst * self.limit.interval))
        refill = max(1, round((self.limit.burst - self.remaining) * self.limit.interval))
        return [
            (b"ratelimit-policy", f'"{name}";q={self.limit.burst};w={window}'.encode()),
            (b"ratelimit", f'"{name}";r={self.remaining};t={refill}'.encode()),
        ]


class Counter(Protocol):
    """Counts requests: in this process, or for all replicas."""

    async def take(self, demands: Sequence[Demand]) -> list[Share]:
        """Count a request against all limits, or, where one of them is used up, against none."""


class CounterOfProcess:
    """Counts what this process answers; with n replicas a client has up to n times the limit.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._due: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def take(self, demands: Sequence[Demand]) -> list[Share]:
        now = self._now()
        dues = [max(self._due.get((one.limit.name, one.key), now), now) + one.limit.interval for one in demands]
        shares = [share_of(one.limit, due - now) for one, due in zip(demands, dues, strict=True)]
        if not any(share.wait_seconds for share in shares):
            for one, due in zip(demands, dues, strict=True):
                self._due[one.limit.name, one.key] = due
                self._due.move_to_end((one.limit.name, one.key))
            while len(self._due) > MOST_KEYS:
                self._due.popitem(last=False)
        return shares


def share_of(limit: Limit, ahead_seconds: float) -> Share:
    """What a key that is so far ahead of even pace, this request included, has left."""
    early = ahead_seconds - limit.burst * limit.interval
    if early > 1e-9:
        return Share(limit, 0, early)
    return Share(limit, max(0, int(-early / limit.interval + 1e-6)))


class RateLimits:
    """The limits of a deployment.

    Args:
        counter: where requests are counted.
        per_minute: requests a minute by the name of the limit.
    """

    def __init__(self, counter: Counter, per_minute: dict[str, int]) -> None:
        self._counter = counter
        self._limits = {name: Limit(name, rate) for name, rate in per_minute.items()}

    async def take(self, **keys: str) -> Headers:
        """Count a request under each key by the name of its limit; a name that has no limit counts nothing.

        Returns:
            Fields that tell the client about the limit that is nearest.

        Raises:
            TooManyRequests: a share is used up; says when to come again.
        """
        demands = [Demand(self._limits[name], key) for name, key in keys.items() if name in self._limits]
        if not demands:
            return []
        shares = await self._counter.take(demands)
        slowest = max(shares, key=lambda share: share.wait_seconds)
        if slowest.wait_seconds:
            raise TooManyRequests(
                slowest.headers(), retry_after=timedelta(seconds=slowest.wait_seconds), limit=slowest.limit.name
            )
        return min(shares, key=lambda share: share.remaining / share.limit.burst).headers()
