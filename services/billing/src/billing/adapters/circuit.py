"""A circuit breaker for one provider: after failures in a row nobody is made to wait for another time-out.

While it is open, calls fail at once; then one call tries, and the pause doubles with each that fails. It is this
process's own view: replicas learn by themselves, a provider is asked a few times more for that.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge

from billing.ports import ProviderUnavailable

FAILURES_IN_A_ROW = 5
"""So many, and it is the provider and not the network's hiccup."""

FIRST_PAUSE = timedelta(seconds=5)
"""Shorter than a payer waits at his telephone; he loses little when the provider is back at once."""

LONGEST_PAUSE = timedelta(minutes=1)

OPEN = Gauge("billing_provider_circuit_open", "1 while a provider is left alone after failures", ["provider"])
CALLS = Counter("billing_provider_calls_total", "Calls to a provider by outcome", ["provider", "outcome"])


class Circuit:
    """One provider's breaker.

    Args:
        provider: Its name, for metrics.
        now: The time.
    """

    def __init__(self, provider: str, now: Callable[[], datetime]) -> None:
        self._provider = provider
        self._now = now
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._left_alone_until: datetime | None = None
        OPEN.labels(provider).set(0)

    def enter(self) -> bool:
        """Ask for the right to call; while it is open only one call a pause gets it.

        Returns:
            Whether this is that one call, by which it is decided how it goes on.

        Raises:
            ProviderUnavailable: The provider is left alone; nothing was sent.
        """
        if self._left_alone_until is None:
            return False
        if self._now() < self._left_alone_until:
            CALLS.labels(self._provider, "spared").inc()
            raise ProviderUnavailable("circuit_open", self._provider)
        self._left_alone_until = self._now() + self._pause  # this call tries; the others go on waiting
        return True

    def succeeded(self) -> None:
        """Note an answer, whatever it says: the provider is there."""
        CALLS.labels(self._provider, "answered").inc()
        self._failures, self._pause, self._left_alone_until = 0, FIRST_PAUSE, None
        OPEN.labels(self._provider).set(0)

    def failed(self, *, tried: bool = False) -> None:
        """Note that no answer came, or one that only says that the provider is down.

        Args:
            tried: What `enter` returned. The calls that were under way when it opened fail too, and say nothing new.
        """
        CALLS.labels(self._provider, "failed").inc()
        self._failures += 1
        if tried:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        elif self._failures < FAILURES_IN_A_ROW or self._left_alone_until is not None:
            return
        self._left_alone_until = self._now() + self._pause
        OPEN.labels(self._provider).set(1)
