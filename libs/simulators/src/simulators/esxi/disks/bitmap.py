"""A set of block numbers that stays small for sparse use on a 62 TiB disk."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PAGE_BLOCKS = 1 << 15
"""Blocks per page: one page of 32 KiB covers 128 MiB of 4 KiB grains."""


class BlockSet:
    """Numbers of blocks of `block_bytes`; pages exist only where something was added."""

    def __init__(self, block_bytes: int) -> None:
        self.block_bytes = block_bytes
        self._pages: dict[int, NDArray[np.bool_]] = {}

    def add(self, offset: int, length: int) -> None:
        """Add every block that the byte range touches."""
        first, last = offset // self.block_bytes, (offset + length - 1) // self.block_bytes
        while first <= last:
            page, inner = divmod(first, PAGE_BLOCKS)
            count = min(last - first + 1, PAGE_BLOCKS - inner)
            bits = self._pages.get(page)
            if bits is None:
                bits = self._pages[page] = np.zeros(PAGE_BLOCKS, dtype=np.bool_)
            bits[inner : inner + count] = True
            first += count

    def update(self, other: "BlockSet") -> None:
        """Add all blocks of another set of the same block size."""
        for page, bits in other._pages.items():  # noqa: SLF001 -- of the same class
            mine = self._pages.get(page)
            self._pages[page] = bits.copy() if mine is None else mine | bits

    def __contains__(self, block: int) -> bool:
        bits = self._pages.get(block // PAGE_BLOCKS)
        return bits is not None and bool(bits[block % PAGE_BLOCKS])

    def __len__(self) -> int:
        return sum(int(bits.sum()) for bits in self._pages.values())

    def ranges(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Byte ranges of present blocks that meet the asked range, clipped to it, ascending and joined."""
        pending: tuple[int, int] | None = None
        for start, stop in self._runs(offset // self.block_bytes, -(-(offset + length) // self.block_bytes)):
            lo, hi = max(offset, start * self.block_bytes), min(offset + length, stop * self.block_bytes)
            if pending is not None and pending[1] == lo:
                pending = (pending[0], hi)
                continue
            if pending is not None:
                yield pending[0], pending[1] - pending[0]
            pending = (lo, hi)
        if pending is not None:
            yield pending[0], pending[1] - pending[0]

    def _runs(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """(first, stop) block numbers of runs within pages."""
        low_page, high_page = first // PAGE_BLOCKS, (stop - 1) // PAGE_BLOCKS
        pages = [low_page] if low_page == high_page else sorted(p for p in self._pages if low_page <= p <= high_page)
        for page in pages:
            bits = self._pages.get(page)
            if bits is None:
                continue
            base = page * PAGE_BLOCKS
            lo, hi = max(first - base, 0), min(stop - base, PAGE_BLOCKS)
            edges = np.flatnonzero(np.diff(np.concatenate(([False], bits[lo:hi], [False])).astype(np.int8)))
            for at in range(0, len(edges), 2):
                yield base + lo + int(edges[at]), base + lo + int(edges[at + 1])
