"""Reads a stream-optimised VMDK as it arrives, and accepts it only when it is proven whole.

`StreamParser` takes bytes of any cut and gives packed grains; `inflate` unpacks a batch of them, meant for a thread;
`read_blocks` joins both over an asynchronous source. A stream that is truncated, has a bad marker, a grain beyond the
capacity or out of order, tables that disagree with the grains, or no footer is damaged: never a silent zero-fill (D35).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from isal import isal_zlib

from backup_engine.adapters.vsphere.vmdk_format import (
    DIRECTORY_AT_END,
    END_OF_STREAM,
    FOOTER,
    GRAIN_BYTES,
    GRAIN_DIRECTORY,
    GRAIN_MARKER,
    GRAIN_SECTORS,
    GRAIN_TABLE,
    MARKER,
    SECTOR,
    SPAN_BYTES,
    TABLE_BYTES,
    Header,
    NotAStream,
    sectors_of,
)
from backup_engine.errors.hypervisor import DiskStreamDamaged

MOST_PACKED_BYTES = 2 * GRAIN_BYTES
"""Deflate grows incompressible data by less than 0.1 %; what is larger is not a grain."""
MOST_OVERHEAD_SECTORS = 1 << 16
BATCH_BYTES = 1 << 20
"""Packed bytes handed to a thread at once: enough to hide the hand-over, little enough to bound memory."""
SLACK_BYTES = 16 << 20
"""What tables and descriptors may add to 1.1 × the capacity before the stream is too long to be this disk."""
_INFLATE_ERROR: Any = isal_zlib.IsalError
_ZERO_GRAIN = bytes(GRAIN_BYTES)


@dataclass(frozen=True, slots=True)
class PackedGrain:
    """A grain as it came: `offset` in the disk, deflated data, and the stream position of its marker."""

    offset: int
    data: bytes
    position: int


class StreamParser:
    """Takes the stream's bytes in any cut.

    Args:
        capacity_bytes: of the disk that the stream is said to be; its header must agree.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.received = 0
        self.complete = False
        self._buffer = bytearray()
        self._position = 0
        self._grains: list[PackedGrain] = []
        self._limit = capacity_bytes + capacity_bytes // 10 + SLACK_BYTES
        self._next_sector = 0
        self._grain_count = 0
        self._listed_grains = 0
        self._tables_in_use = 0
        self._directory_sector: int | None = None
        self._footer_seen = False
        self._machine = self._parse()
        self._wanted = next(self._machine)

    def feed(self, data: bytes) -> list[PackedGrain]:
        """Take the next bytes; returns the grains that they complete. Raises DiskStreamDamaged."""
        self.received += len(data)
        if self.received > self._limit:
            raise self._damage("it is longer than this disk can be")
        self._buffer += data
        cursor = 0
        while len(self._buffer) - cursor >= self._wanted:
            piece = bytes(self._buffer[cursor : cursor + self._wanted])
            cursor += self._wanted
            self._position += self._wanted
            self._wanted = self._machine.send(piece)
        del self._buffer[:cursor]
        grains, self._grains = self._grains, []
        return grains

    def finish(self) -> None:
        """The source has ended. Raises DiskStreamDamaged unless the stream was whole."""
        if not self.complete or any(self._buffer):
            raise self._damage("it is truncated" if not self.complete else "something follows its end")

    def _parse(self) -> Generator[int, bytes, None]:
        """Yields how many bytes it needs next and is sent exactly those."""
        header = self._read_header((yield SECTOR))
        yield (header.overhead_sectors - 1) * SECTOR
        while True:
            sector = yield SECTOR
            value, size, kind = MARKER.unpack_from(sector)
            if size:
                yield from self._read_grain(sector, value, size)
            elif kind == GRAIN_TABLE:
                self._expect_sectors(value, sectors_of(TABLE_BYTES), "grain table")
                self._read_table((yield value * SECTOR))
            elif kind == GRAIN_DIRECTORY:
                self._expect_sectors(value, sectors_of(-(-self.capacity_bytes // SPAN_BYTES) * 4), "grain directory")
                self._directory_sector = self._position // SECTOR
                self._read_directory((yield value * SECTOR))
            elif kind == FOOTER:
                self._expect_sectors(value, 1, "footer")
                self._read_footer((yield SECTOR))
            elif kind == END_OF_STREAM and value == 0:
                self._end()
                break
            else:
                raise self._damage(f"a marker of unknown type {kind}")
        while True:
            if any((yield SECTOR)):
                raise self._damage("something follows its end")

    def _read_header(self, sector: bytes) -> Header:
        try:
            header = Header.unpack(sector)
        except NotAStream as error:
            raise self._damage(str(error)) from error
        self._check_capacity(header)
        if header.directory_offset != DIRECTORY_AT_END:
            raise self._damage("it announces no footer")
        # One sector of descriptor at least: a zero-length wait would stop the machine.
        if not 1 < header.overhead_sectors <= MOST_OVERHEAD_SECTORS:
            raise self._damage(f"an overhead of {header.overhead_sectors} sectors")
        return header

    def _check_capacity(self, header: Header) -> None:
        exact = sectors_of(self.capacity_bytes)
        whole_grains = -(-exact // GRAIN_SECTORS) * GRAIN_SECTORS
        if header.capacity_sectors not in (exact, whole_grains):
            raise self._damage(
                f"it is of a disk of {header.capacity_sectors * SECTOR} bytes, not {self.capacity_bytes}"
            )

    def _read_grain(self, sector: bytes, first_sector: int, size: int) -> Generator[int, bytes, None]:
        position = self._position - SECTOR
        if first_sector % GRAIN_SECTORS or first_sector < self._next_sector:
            raise self._damage(f"a grain marker for sector {first_sector} after sector {self._next_sector}")
        if first_sector * SECTOR >= self.capacity_bytes:
            raise self._damage(f"a grain at sector {first_sector}, beyond the capacity")
        if size > MOST_PACKED_BYTES:
            raise self._damage(f"a grain of {size} packed bytes")
        if self._footer_seen or self._directory_sector is not None:
            raise self._damage("a grain after the directory")
        packed = sector[GRAIN_MARKER.size :]
        rest = sectors_of(GRAIN_MARKER.size + size) * SECTOR - SECTOR
        if rest:
            packed += yield rest
        self._grains.append(PackedGrain(first_sector * SECTOR, packed[:size], position))
        self._next_sector = first_sector + GRAIN_SECTORS
        self._grain_count += 1

    def _read_table(self, table: bytes) -> None:
        # Entry 0 is an absent grain and 1 one that is known to be zero; others are positions.
        listed = int(np.count_nonzero(np.frombuffer(table[:TABLE_BYTES], dtype="<u4") > 1))
        self._listed_grains += listed
        self._tables_in_use += bool(listed)

    def _read_directory(self, directory: bytes) -> None:
        entries = int(np.count_nonzero(np.frombuffer(directory, dtype="<u4")))
        if entries < self._tables_in_use:
            raise self._damage(f"its directory names {entries} of {self._tables_in_use} tables")

    def _read_footer(self, sector: bytes) -> None:
        try:
            footer = Header.unpack(sector)
        except NotAStream as error:
            raise self._damage(f"bad footer: {error}") from error
        self._check_capacity(footer)
        if footer.directory_offset != self._directory_sector:
            raise self._damage("its footer does not point to its directory")
        self._footer_seen = True

    def _end(self) -> None:
        if not self._footer_seen:
            raise self._damage("it ends without a footer")
        if self._listed_grains != self._grain_count:
            raise self._damage(f"{self._grain_count} grains came, its tables list {self._listed_grains}")
        self.complete = True

    def _expect_sectors(self, got: int, expected: int, what: str) -> None:
        if got != expected:
            raise self._damage(f"a {what} of {got} sectors, not {expected}")

    def _damage(self, reason: str) -> DiskStreamDamaged:
        return DiskStreamDamaged(position=self._position, reason=reason)


def inflate(grains: list[PackedGrain], capacity_bytes: int) -> list[tuple[int, bytes]]:
    """Unpack grains, leaving out those of zeros only; releases the GIL. Raises DiskStreamDamaged."""
    blocks: list[tuple[int, bytes]] = []
    for grain in grains:
        unpacker = isal_zlib.decompressobj(wbits=15)
        try:
            data = unpacker.decompress(grain.data, GRAIN_BYTES + 1)
        except _INFLATE_ERROR as error:
            raise DiskStreamDamaged(position=grain.position, reason=f"a grain does not inflate: {error}") from error
        within = min(GRAIN_BYTES, capacity_bytes - grain.offset)
        # The last grain of a disk comes whole, padded with zeros, or as short as the disk.
        if not unpacker.eof or unpacker.unused_data or len(data) not in (GRAIN_BYTES, within):
            raise DiskStreamDamaged(position=grain.position, reason=f"a grain inflates to {len(data)} bytes")
        if any(data[within:]):
            raise DiskStreamDamaged(position=grain.position, reason="a grain holds data beyond the capacity")
        data = data[:within]
        if data != _ZERO_GRAIN[:within]:
            blocks.append((grain.offset, data))
    return blocks


async def read_blocks(source: AsyncIterator[bytes], parser: StreamParser) -> AsyncGenerator[tuple[int, bytes], None]:
    """Blocks of the disk in increasing order; receiving goes on while a thread inflates the batch before.

    Ends normally only after the whole stream was proven. Raises DiskStreamDamaged, and what `source` raises.
    """
    batch: list[PackedGrain] = []
    size = 0
    running: asyncio.Task[list[tuple[int, bytes]]] | None = None
    try:
        async for data in source:
            for grain in parser.feed(data):
                batch.append(grain)
                size += len(grain.data)
            if size >= BATCH_BYTES:
                done, running = running, asyncio.create_task(asyncio.to_thread(inflate, batch, parser.capacity_bytes))
                batch, size = [], 0
                if done is not None:
                    for block in await done:
                        yield block
        parser.finish()
        for rest in [running] if running else []:
            running = None
            for block in await rest:
                yield block
        for block in await asyncio.to_thread(inflate, batch, parser.capacity_bytes):
            yield block
    finally:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
