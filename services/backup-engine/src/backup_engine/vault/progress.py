"""Counting what a backup does, and telling which stage holds it up. No I/O."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from backup_engine.vault.objects import Sealed

REPORT_SECONDS = 0.5


class Stage(Enum):
    READ = "read"
    COMPUTE = "compute"
    STORE = "store"
    CATALOGUE = "catalogue"


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes so far: read from the sources, not read, new in the vault as plaintext and as stored."""

    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    bytes_total: int
    limiting_stage: str


@dataclass(frozen=True, slots=True)
class Statistics:
    """The sums of a point. ``seconds``: wall time in which each stage was the one that held up the others."""

    bytes_read: int
    bytes_skipped: int
    bytes_new: int
    bytes_stored: int
    seconds: dict[str, float]
    seconds_total: float
    limiting_stage: str
    chunks_changed_outside_hint: int


class Meter:
    """Counts bytes and attributes time. Each entering or leaving of a stage closes a span of time.

    While chunks wait for a buffer, or nothing is being read, the stage after reading with the most chunks in
    it holds things up; otherwise reading does.
    """

    def __init__(self, report: Callable[[Progress], None] | None, now: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._now = now
        self._inside = dict.fromkeys(Stage, 0)
        self._seconds = dict.fromkeys(Stage, 0.0)
        self._starved = 0
        self._started = self._at = self._reported = now()
        self.bytes_read = self.bytes_skipped = self.bytes_new = self.bytes_stored = self.bytes_total = 0
        self.unexpected_changes = 0

    @contextmanager
    def within(self, stage: Stage) -> Iterator[None]:
        """Count one chunk or batch as being in this stage."""
        self._close_span()
        self._inside[stage] += 1
        try:
            yield
        finally:
            self._close_span()
            self._inside[stage] -= 1

    @contextmanager
    def starved(self) -> Iterator[None]:
        """Count one reader as waiting for a buffer, i.e. for the stages after it."""
        self._close_span()
        self._starved += 1
        try:
            yield
        finally:
            self._close_span()
            self._starved -= 1

    def read(self, amount: int) -> None:
        self.bytes_read += amount
        self.tell()

    def stored(self, item: Sealed) -> None:
        """Count an object that was put; map nodes count as stored, not as new data."""
        if item.type.catalogue_type == "chunk":
            self.bytes_new += item.plain_bytes
        self.bytes_stored += item.stored_bytes
        self.tell()

    def tell(self, *, now: bool = False) -> None:
        """Report, at most every half second unless told to."""
        at = self._now()
        if self._report and (now or at - self._reported >= REPORT_SECONDS):
            self._reported = at
            self._report(self.progress)

    @property
    def progress(self) -> Progress:
        self._close_span()
        return Progress(
            self.bytes_read,
            self.bytes_skipped,
            self.bytes_new,
            self.bytes_stored,
            self.bytes_total,
            self._most_limiting.value,
        )

    @property
    def statistics(self) -> Statistics:
        self._close_span()
        return Statistics(
            self.bytes_read,
            self.bytes_skipped,
            self.bytes_new,
            self.bytes_stored,
            {stage.value: round(seconds, 3) for stage, seconds in self._seconds.items()},
            round(self._at - self._started, 3),
            self._most_limiting.value,
            self.unexpected_changes,
        )

    @property
    def _most_limiting(self) -> Stage:
        return max(Stage, key=lambda stage: self._seconds[stage])

    def _close_span(self) -> None:
        at = self._now()
        self._seconds[self._holding_up] += at - self._at
        self._at = at

    @property
    def _holding_up(self) -> Stage:
        later = max((Stage.COMPUTE, Stage.CATALOGUE, Stage.STORE), key=lambda stage: self._inside[stage])
        if self._inside[later] and (self._starved or not self._inside[Stage.READ]):
            return later
        return Stage.READ
