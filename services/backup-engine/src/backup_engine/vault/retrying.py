"""A store that is asked again: what may pass is given time to pass (D46).

Any store turns a caller away now and then: S3 answers 503 SlowDown, a file server restarts. Calls of a ``BlobStore``
may be repeated after any failure, so they are, and a busy store does not cost an attempt at a task. Pauses grow and are
drawn at random, so that runners which were turned away together do not come back together.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from backup_engine.ports.vault import Blob, BlobInfo, BlobStore, PutOutcome, StoreUnavailable

PAUSES_SECONDS = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)
"""Longest pause before each further call; at least half of it is waited. What lasts longer is the attempt's to tell."""

_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)


class RetryingStore:
    """``BlobStore`` over one that may be unavailable for a moment; whatever else it raises passes through.

    A fence belongs inside, so that every single call stands behind it.
    """

    def __init__(self, inner: BlobStore, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._inner = inner
        self._sleep = sleep

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        """As the port says; what a call created before it failed answers EXISTS."""
        return await self._insisting("put", lambda: self._inner.put_batch(blobs))

    async def get(self, name: str) -> bytes:
        """As the port says."""
        return await self._insisting("get", lambda: self._inner.get(name))

    async def get_range(self, name: str, offset: int, length: int) -> bytes:
        """As the port says."""
        return await self._insisting("get", lambda: self._inner.get_range(name, offset, length))

    async def delete(self, names: Sequence[str]) -> None:
        """As the port says."""
        await self._insisting("delete", lambda: self._inner.delete(names))

    async def scan(self, prefix: str) -> AsyncIterator[BlobInfo]:
        """As the port says. A listing has no order in which to go on: it is begun again, never continued."""

        async def begin() -> tuple[BlobInfo | None, AsyncIterator[BlobInfo]]:
            infos = self._inner.scan(prefix)
            return await anext(infos, None), infos

        first, others = await self._insisting("list", begin)
        if first is not None:
            yield first
            async for info in others:
                yield info

    async def close(self) -> None:
        """As the port says."""
        await self._inner.close()

    async def _insisting(self, what: str, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        for longest in PAUSES_SECONDS:
            try:
                return await call()
            except StoreUnavailable as error:
                pause = random.uniform(longest / 2, longest)  # noqa: S311 - to spread callers, not to keep a secret
                log.warning("the store is asked again to %s in %.1f s: %s", what, pause, error)
            await self._sleep(pause)
        return await call()
