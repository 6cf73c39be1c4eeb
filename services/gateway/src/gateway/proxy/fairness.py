"""That nobody takes all there is: requests in hand per organization, and services that are left alone while down."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from gateway.errors import ServiceUnavailable, TooManyRequests

FAILURES = 5
"""Connections in a row that could not be had before a service is left alone."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds for which it is left alone; twice as long each time."""


class InHand:
    """Counts requests that are being answered, by organization.

    Args:
        most: how many one organization may have, in this process.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._now: Counter[UUID] = Counter()

    @contextmanager
    def one_of(self, tenant_id: UUID | None) -> Iterator[None]:
        """Count a request for as long as the block lasts.

        Raises:
            TooManyRequests: the organization has as many as it may have.
        """
        if tenant_id is None:
            yield
            return
        if self._now[tenant_id] >= self._most:
            raise TooManyRequests([], limit="at_once", retry_after=timedelta(seconds=1))
        self._now[tenant_id] += 1
        try:
            yield
        finally:
            self._now[tenant_id] -= 1
            if not self._now[tenant_id]:
                del self._now[tenant_id]


class Breaker:
    """Refuses at once while a service cannot be connected to, and lets one request in a while find out.

    Only connections count: a slow answer is one caller's, and must not close the service to everybody.

    Args:
        service: its name.
        now: seconds of a clock that never goes back.
    """

    def __init__(self, service: str, now: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._now = now
        self._failures = 0
        self._closed_until = float("-inf")

    def check(self) -> None:
        """Let a request try.

        Raises:
            ServiceUnavailable: the service was down a moment ago; says when it is tried again.
        """
        if self._failures < FAILURES:
            return
        now = self._now()
        if now < self._closed_until:
            raise ServiceUnavailable(service=self._service, retry_after=timedelta(seconds=self._closed_until - now))
        # This one finds out; the others wait for what it finds.
        self._closed_until = now + self._pause()

    def connected(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._closed_until = self._now() + self._pause()

    def _pause(self) -> float:
        return min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(self._failures - FAILURES, 10))
