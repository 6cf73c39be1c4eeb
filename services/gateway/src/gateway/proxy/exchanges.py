"""An exchange with a service in hand, and what may end it before its end: the client goes, or his access does.

It runs in the request's own task. Most answers are there in a few milliseconds; only for one that takes longer does a
second task listen whether the client is still there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

from gateway.proxy.bodies import ClientGone, RequestBody

LISTEN_AFTER_SECONDS = 0.05
"""How long an exchange may take before somebody listens for its client's going away."""


class AccessEnded(Exception):
    """The caller's session, key or membership ended while his request ran."""


class Exchange:
    """What runs in the current task, and can be cut off from outside as `asyncio.timeout` does it."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelled_before = task.cancelling()
        self._reason: Exception | None = None

    def end(self) -> None:
        """Cut it off because the caller may not go on."""
        self._cut(AccessEnded())

    def _cut(self, reason: Exception) -> None:
        if self._reason is None:
            self._reason = reason
            self._task.cancel()

    @asynccontextmanager
    async def running(self, body: RequestBody, allowed: AbstractContextManager[None]) -> AsyncIterator[None]:
        """Run the block until it ends or is cut off.

        Args:
            body: tells when the client goes away.
            allowed: lasts as long as the caller may go on, and calls `end` when that is over.

        Raises:
            AccessEnded: the caller's access is over.
            ClientGone: nobody listens any more, so the service shall not go on working for nobody.
        """
        listening: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        soon = loop.call_later(
            LISTEN_AFTER_SECONDS,
            lambda: listening.append(loop.create_task(self._listen(body), name="client")),
        )
        try:
            with allowed:
                yield
        except asyncio.CancelledError:
            if self._reason is None or self._task.uncancel() > self._cancelled_before:
                raise
            raise self._reason from None
        finally:
            soon.cancel()
            for task in listening:
                task.cancel()
            if listening:
                await asyncio.gather(*listening, return_exceptions=True)

    async def _listen(self, body: RequestBody) -> None:
        await body.client_gone()
        self._cut(ClientGone())
