"""A clock that stands until a test moves it."""

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """Clock port that tells the time it was given."""

    def __init__(self, at: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> None:
        """Move the time forward."""
        self._at += by
