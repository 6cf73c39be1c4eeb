"""Arithmetic of extents: from byte ranges in any order to chunk positions, and back. No I/O."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

Extent = tuple[int, int]
"""(offset, length) in bytes."""


def chunk_positions(extents: Iterable[Extent], *, capacity: int, chunk_size: int) -> list[range]:
    """Return the chunks that the extents touch, as ascending ranges that neither overlap nor adjoin.

    Extents may be unsorted, overlapping, unaligned, empty or beyond the capacity (D10): each is rounded
    outwards to chunks and clipped to the disk.
    """
    touched = []
    for offset, length in extents:
        start, end = max(offset, 0), min(offset + length, capacity)
        if start < end:
            touched.append((start // chunk_size, -(-end // chunk_size)))
    merged: list[range] = []
    for first, stop in sorted(touched):
        if merged and first <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(stop, merged[-1].stop))
        else:
            merged.append(range(first, stop))
    return merged


def union(first: Sequence[range], second: Iterable[range]) -> list[range]:
    """Return the positions of both, merged."""
    pairs = [(part.start, len(part)) for part in (*first, *second)]
    top = max((start + length for start, length in pairs), default=0)
    return chunk_positions(pairs, capacity=top, chunk_size=1)


class Positions:
    """Answers whether a position lies in ascending, separate ranges, in logarithmic time."""

    def __init__(self, ranges: Sequence[range]) -> None:
        self._ranges = ranges
        self._starts = [part.start for part in ranges]

    def __contains__(self, position: int) -> bool:
        index = bisect_right(self._starts, position) - 1
        return index >= 0 and position in self._ranges[index]


def flatten(ranges: Iterable[range]) -> Iterator[int]:
    for part in ranges:
        yield from part
