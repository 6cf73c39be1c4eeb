"""Where a disk's bytes come from: the two kinds of source, and cutting a stream into chunks. No I/O of its own."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, runtime_checkable

from backup_engine.ports.vault import Buffer
from backup_engine.vault.errors import SourceBroken
from backup_engine.vault.nodes import Geometry


@runtime_checkable
class RandomSource(Protocol):
    """A disk that can be read anywhere, by several reads at once."""

    async def pread(self, offset: int, length: int) -> Buffer:
        """Return exactly ``length`` bytes at ``offset``. The buffer is the caller's: it is not written again."""
        ...


@runtime_checkable
class StreamSource(Protocol):
    """A disk that is read once, from its start."""

    def stream(self) -> AsyncIterator[tuple[int, Buffer]]:
        """Yield (offset, bytes), ascending and not overlapping; what is left out is not allocated.

        A buffer may be used again by the source as soon as the next one is asked for.
        """
        ...


@asynccontextmanager
async def closing_pieces(source: StreamSource) -> AsyncIterator[AsyncIterator[tuple[int, Buffer]]]:
    """Give the stream, and end it afterwards, so that its connection does not wait for the garbage collector."""
    pieces = aiter(source.stream())
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


class ChunkCutter:
    """Collects a stream's pieces, in ascending order, into whole chunks with zeros between."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._position = -1
        self._buffer = bytearray()
        self._end = 0

    @property
    def position(self) -> int:
        """The chunk being collected, or -1."""
        return self._position

    def check(self, offset: int, length: int) -> None:
        """Refuse a piece that goes back or beyond the disk: never guess (D35). Raises SourceBroken."""
        if offset < self._end:
            raise SourceBroken(reason=f"the stream went back from {self._end} to {offset}")
        if offset + length > self._geometry.capacity_bytes:
            raise SourceBroken(reason=f"the stream holds bytes at {offset + length}, beyond the disk")
        self._end = offset + length

    def begin(self, position: int) -> None:
        self._position = position
        self._buffer = bytearray(self._geometry.chunk_length(position))

    def put(self, offset: int, piece: memoryview) -> None:
        """Add a piece that lies within the chunk being collected."""
        at = offset - self._position * self._geometry.chunk_size
        self._buffer[at : at + len(piece)] = piece

    def finish(self) -> tuple[int, Buffer]:
        """Return the chunk's position and bytes; then none is being collected."""
        position, buffer = self._position, self._buffer
        self._position, self._buffer = -1, bytearray()
        return position, buffer
