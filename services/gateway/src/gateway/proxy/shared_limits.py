"""Rate limits that all replicas share, counted in Redis (7 or later) by one script, by Redis' own clock.

Redis holds nothing but these numbers, each under a key that names its limit and expires by itself. While it cannot be
reached, each replica counts for itself: a limit that is a little generous is better than a door that is shut.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

import redis.asyncio as redis
from redis.exceptions import RedisError

from gateway.proxy.rate_limits import Counter, Demand, Share, share_of

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.25
"""How long a request waits for Redis."""

CONNECTIONS = 16
"""An answer takes a fraction of a millisecond, so these carry more than a process can ask."""

PAUSE_SECONDS = 2.0
"""How long Redis is left alone after it failed."""

SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local ahead, fits = {}, true
for i, key in ipairs(KEYS) do
    local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local due = math.max(tonumber(redis.call('GET', key) or 0), now) + interval
    ahead[i] = due - now
    if ahead[i] > burst * interval + 1 then fits = false end
end
if fits then
    for i, key in ipairs(KEYS) do
        redis.call('SET', key, string.format('%.0f', now + ahead[i]), 'PX', math.ceil(ahead[i] / 1000) + 1)
    end
end
return ahead
"""
"""Times are in microseconds. All keys are read before any is written, so a refused request costs nobody anything."""


class CounterInRedis:
    """Counts for all replicas.

    Args:
        url: `redis://` or `rediss://`, with its database.
        alone: counts while Redis is away.
        patience_seconds: how long a request waits for Redis.
    """

    def __init__(self, url: str, alone: Counter, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience = patience_seconds
        pool = redis.BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS, timeout=patience_seconds, socket_connect_timeout=patience_seconds
        )
        self._client = redis.Redis.from_pool(pool)
        self._script = self._client.register_script(SCRIPT)
        self._alone = alone
        self._again_at = 0.0

    async def take(self, demands: Sequence[Demand]) -> list[Share]:
        if time.monotonic() >= self._again_at:
            try:
                async with asyncio.timeout(self._patience):
                    return await self._count(demands)
            except (RedisError, OSError, TimeoutError) as error:
                self._again_at = time.monotonic() + PAUSE_SECONDS
                log.warning("limits are counted by each replica alone: Redis: %s", type(error).__name__)
        return await self._alone.take(demands)

    async def _count(self, demands: Sequence[Demand]) -> list[Share]:
        keys = [f"ebm:limit:{one.limit.name}:{one.key}" for one in demands]
        numbers = [str(part) for one in demands for part in (round(one.limit.interval * 1e6), one.limit.burst)]
        ahead = await self._script(keys=keys, args=numbers)
        return [share_of(one.limit, microseconds / 1e6) for one, microseconds in zip(demands, ahead, strict=True)]

    async def close(self) -> None:
        await self._client.aclose()
