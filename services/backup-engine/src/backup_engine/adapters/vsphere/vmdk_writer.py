"""Writes a stream-optimised VMDK on the fly, from a disk's data in increasing order.

Grains of zeros are left out, so a thin disk stays thin (D57). Not here: reading (`vmdk_reader.py`), sending
(`lease_import.py`).
"""

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
    SECTOR,
    SPAN_BYTES,
    TABLE_BYTES,
    TABLE_ENTRIES,
    Header,
    descriptor,
    marker,
    padded,
    sectors_of,
)

DEFLATE_LEVEL = 1
"""Measured 540 MiB/s a core; higher levels save little of what then crosses a local network once."""
_POSITION_MASK = 0xFFFF_FFFF
"""Tables hold 32 bits; positions of a stream beyond 2 TiB wrap, as the format has no more."""
_ZERO_GRAIN = bytes(GRAIN_BYTES)


class StreamWriter:
    """Turns `write` calls into the bytes of the stream. One thread at a time.

    Args:
        capacity_bytes: of the disk; a multiple of 512.
        content_id: any 32-bit number but 0xffffffff.
    """

    def __init__(self, capacity_bytes: int, content_id: int = 0x0EB0_0001) -> None:
        if capacity_bytes <= 0 or capacity_bytes % SECTOR:
            raise ValueError(f"a capacity of {capacity_bytes} bytes")
        self._capacity = capacity_bytes
        self._position = 0
        self._next_offset = 0
        self._table = np.zeros(TABLE_ENTRIES, dtype="<u4")
        self._span: int | None = None
        self._directory = np.zeros(-(-capacity_bytes // SPAN_BYTES), dtype="<u4")
        self._content_id = content_id

    def begin(self) -> bytes:
        """Header and descriptor; first of all calls."""
        text = padded(descriptor(self._capacity // SECTOR, self._content_id))
        self._header = Header(self._capacity // SECTOR, 1, len(text) // SECTOR, DIRECTORY_AT_END, GRAIN_SECTORS)
        return self._counted((self._header.pack() + text).ljust(GRAIN_SECTORS * SECTOR, b"\0"))

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> bytes:
        """Pack `data`, which lies at `offset`, beyond all before it. Releases the GIL while it deflates.

        Raises:
            ValueError: not aligned to a grain, not increasing, or beyond the capacity.
        """
        if offset % GRAIN_BYTES or offset < self._next_offset or offset + len(data) > self._capacity:
            raise ValueError(f"{len(data)} bytes at {offset} after {self._next_offset} of {self._capacity}")
        view = memoryview(data)
        self._next_offset = offset + len(data)
        packed = bytearray()
        for start in range(0, len(view), GRAIN_BYTES):
            grain = bytes(view[start : start + GRAIN_BYTES])
            if grain != _ZERO_GRAIN[: len(grain)]:
                packed += self._grain(offset + start, grain.ljust(GRAIN_BYTES, b"\0"))
        return bytes(packed)

    def finish(self) -> bytes:
        """Last table, directory, footer and end mark; last of all calls."""
        tail = self._close_span()
        tail += self._counted(marker(sectors_of(self._directory.nbytes), GRAIN_DIRECTORY))
        directory_sector = self._position // SECTOR
        tail += self._counted(padded(self._directory.tobytes()))
        header = self._header
        footer = Header(
            header.capacity_sectors,
            header.descriptor_offset,
            header.descriptor_sectors,
            directory_sector,
            header.overhead_sectors,
        )
        return tail + self._counted(marker(1, FOOTER) + footer.pack() + marker(0, END_OF_STREAM))

    def _grain(self, offset: int, grain: bytes) -> bytes:
        span, entry = divmod(offset // GRAIN_BYTES, TABLE_ENTRIES)
        before = self._close_span() if span != self._span else b""
        self._span = span
        self._table[entry] = (self._position // SECTOR) & _POSITION_MASK
        deflated = isal_zlib.compress(grain, DEFLATE_LEVEL)
        return before + self._counted(padded(GRAIN_MARKER.pack(offset // SECTOR, len(deflated)) + deflated))

    def _close_span(self) -> bytes:
        """The table of the 32 MiB just passed, if they held anything."""
        if self._span is None:
            return b""
        head = self._counted(marker(sectors_of(TABLE_BYTES), GRAIN_TABLE))
        self._directory[self._span] = (self._position // SECTOR) & _POSITION_MASK
        table = self._counted(self._table.tobytes())
        self._table[:] = 0
        self._span = None
        return head + table

    def _counted(self, data: bytes) -> bytes:
        self._position += len(data)
        return data
