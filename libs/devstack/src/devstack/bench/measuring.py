"""How everything here is measured: sizes, interleaved pairs, medians."""

import os
import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Say = Callable[[str], None]
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured with; the defaults are those of docs/design.md. Smaller ones show only that it runs.

    Attributes:
        gib: Size of the disk image (``BENCH_GIB``).
        rows: Rows of the scanned table (``BENCH_ROWS``).
        requests: Requests of one measurement at the gateway (``BENCH_REQUESTS``).
        purchases: How many at once, and how many one after the other (``BENCH_PURCHASES``).
        pairs: Measurements of each side of a ratio (``BENCH_PAIRS``).
    """

    gib: float = 2.0
    rows: int = 1_000_000
    requests: int = 4_000
    purchases: int = 200
    pairs: int = 5

    @classmethod
    def quick(cls) -> "Sizes":
        """Return sizes that show within minutes that everything runs."""
        return cls(gib=0.125, rows=200_000, requests=480, purchases=8, pairs=2)

    @classmethod
    def of_environment(cls, usual: "Sizes") -> "Sizes":
        """Read the sizes that the environment names, the others as usual. Raises ValueError for what is no number."""
        return cls(
            float(os.environ.get("BENCH_GIB") or usual.gib),
            int(os.environ.get("BENCH_ROWS") or usual.rows),
            int(os.environ.get("BENCH_REQUESTS") or usual.requests),
            int(os.environ.get("BENCH_PURCHASES") or usual.purchases),
            int(os.environ.get("BENCH_PAIRS") or usual.pairs),
        )


async def in_turn(ways: Sequence[Callable[[], Awaitable[_Found]]], rounds: int) -> list[list[_Found]]:
    """Measure each way once a round; which goes first moves on by one, so that a drift of the machine meets all."""
    found = []
    for number in range(rounds):
        order = [(first + number) % len(ways) for first in range(len(ways))]
        values = {way: await ways[way]() for way in order}
        found.append([values[way] for way in range(len(ways))])
    return found


async def interleaved(
    ours: Callable[[], Awaitable[_Found]], peer: Callable[[], Awaitable[_Found]], pairs: int
) -> list[tuple[_Found, _Found]]:
    """Measure both sides in turn, each going first every other time."""
    return [(left, right) for left, right in await in_turn((ours, peer), pairs)]


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the median of left over right, pair by pair."""
    return statistics.median(left / right for left, right in pairs)


def most_often(names: Sequence[str]) -> str:
    """Return the name that occurs most often; of several, the first."""
    return statistics.mode(names)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least this part (0 to 1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(part * 1000) // 1000) - 1)]
