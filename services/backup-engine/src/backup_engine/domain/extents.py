"""Areas of a disk: union, proof of coverage, and rounding outwards to chunks.

What a host says about changed areas arrives here unsorted, overlapping, unaligned or beyond the end, and leaves as a
sorted list of disjoint extents or as a doubt. Pure; who asks the host is `adapters/vsphere/cbt.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

MOST_EXTENTS = 1_000_000
"""Beyond this a list costs more memory (about 100 MB) than a full read costs time; it counts as a doubt."""


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """`length` bytes from `offset`."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """First byte after it."""
        return self.offset + self.length


class CoverageDoubt(ValueError):
    """The host's answer does not prove what it must; the message is the reason to store."""


@dataclass(frozen=True, slots=True)
class AreaPage:
    """One answer: all changes within `length` bytes from `start` are in `areas`."""

    start: int
    length: int
    areas: tuple[Extent, ...]


class Coverage:
    """Collects pages until they cover the disk from its first byte to its last (D1, D2)."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._areas: list[Extent] = []
        self.next_offset = 0
        """Where the next page must start."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to ask."""
        return self.next_offset >= self._capacity

    def add(self, page: AreaPage) -> None:
        """Take the page that was asked for at `next_offset`.

        Raises:
            CoverageDoubt: it starts elsewhere, makes no progress, or holds an impossible area.
        """
        if page.start != self.next_offset:
            raise CoverageDoubt(f"asked from byte {self.next_offset}, answered from byte {page.start}")
        if page.length <= 0:
            raise CoverageDoubt(f"no progress at byte {page.start}")
        if any(area.offset < 0 or area.length < 0 for area in page.areas):
            raise CoverageDoubt(f"an area of negative position or length at byte {page.start}")
        self._areas.extend(page.areas)
        self.next_offset = page.start + page.length
        if len(self._areas) > MOST_EXTENTS:
            self._areas = list(normalize(self._areas, self._capacity))
            if len(self._areas) > MOST_EXTENTS:
                raise CoverageDoubt(f"more than {MOST_EXTENTS} separate areas")

    def extents(self) -> tuple[Extent, ...]:
        """The union of all areas. Raises CoverageDoubt while incomplete."""
        if not self.complete:
            raise CoverageDoubt(f"answers end at byte {self.next_offset} of {self._capacity}")
        return normalize(self._areas, self._capacity)


def normalize(extents: Iterable[Extent], capacity_bytes: int) -> tuple[Extent, ...]:
    """Sorted, disjoint, not touching, within the disk; the same bytes otherwise."""
    merged: list[Extent] = []
    start = end = -1
    for extent in sorted(extents):
        first, last = max(extent.offset, 0), min(extent.end, capacity_bytes)
        if first >= last:
            continue
        if first > end:
            if end > start:
                merged.append(Extent(start, end - start))
            start, end = first, last
        else:
            end = max(end, last)
    if end > start:
        merged.append(Extent(start, end - start))
    return tuple(merged)


def size_of(extents: Iterable[Extent]) -> int:
    """Sum of lengths."""
    return sum(extent.length for extent in extents)


def chunks_of(extents: Iterable[Extent], capacity_bytes: int, chunk_bytes: int) -> list[int]:
    """Indexes of all chunks that an extent touches, increasing: rounded outwards (D10)."""
    chunks: list[int] = []
    for extent in normalize(extents, capacity_bytes):
        first = extent.offset // chunk_bytes
        if chunks and first <= chunks[-1]:
            first = chunks[-1] + 1
        chunks.extend(range(first, (extent.end - 1) // chunk_bytes + 1))
    return chunks


def chunk_extent(index: int, capacity_bytes: int, chunk_bytes: int) -> Extent:
    """Where a chunk lies; the last one is as short as the disk says."""
    offset = index * chunk_bytes
    return Extent(offset, min(chunk_bytes, capacity_bytes - offset))


def chunk_count(capacity_bytes: int, chunk_bytes: int) -> int:
    """How many chunks a disk has."""
    return -(-capacity_bytes // chunk_bytes)


def pieces(extents: Sequence[Extent], piece_bytes: int) -> Iterator[Extent]:
    """Cut at multiples of `piece_bytes`, in order: reads of bounded size."""
    for extent in extents:
        offset = extent.offset
        while offset < extent.end:
            end = min((offset // piece_bytes + 1) * piece_bytes, extent.end)
            yield Extent(offset, end - offset)
            offset = end
