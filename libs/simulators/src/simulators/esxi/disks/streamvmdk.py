"""Stream-optimised VMDK (the «Virtual Disk Format 5.0» specification), written and read strictly forward.

Both directions hold one grain table at a time. Not here: HTTP, leases, rates.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from isal import isal_zlib

SECTOR: Final = 512
GRAIN_SECTORS: Final = 128
GRAIN_BYTES: Final = GRAIN_SECTORS * SECTOR
TABLE_ENTRIES: Final = 512
TABLE_SPAN: Final = TABLE_ENTRIES * GRAIN_BYTES
"""One grain table covers 32 MiB."""
MAGIC: Final = 0x564D444B
VERSION: Final = 3
FLAGS: Final = 1 | 1 << 16 | 1 << 17
"""Newline test valid, grains compressed, markers used."""
DIRECTORY_AT_END: Final = 0xFFFFFFFFFFFFFFFF
OVERHEAD_SECTORS: Final = 128
DESCRIPTOR_SECTORS: Final = 20
MARK_END, MARK_TABLE, MARK_DIRECTORY, MARK_FOOTER = 0, 1, 2, 3
BAD_DATA: Final[Any] = (isal_zlib.error, zlib.error)
HEADER = struct.Struct("<IIIQQQQIQQQBccccH433x")


class BadStreamError(ValueError):
    """What arrived is not a complete and consistent stream-optimised VMDK."""


def header(capacity: int, directory: int) -> bytes:
    """The 512-byte header (or footer, when `directory` is a sector number)."""
    return HEADER.pack(
        MAGIC, VERSION, FLAGS, -(-capacity // SECTOR), GRAIN_SECTORS, 1, DESCRIPTOR_SECTORS, TABLE_ENTRIES,
        0, directory, OVERHEAD_SECTORS, 0, b"\n", b" ", b"\r", b"\n", 1,
    )  # fmt: skip


def descriptor(capacity: int, name: str, content_id: int) -> bytes:
    """The text that is embedded in the stream."""
    sectors = -(-capacity // SECTOR)
    text = (
        "# Disk DescriptorFile\nversion=1\n"
        f'CID={content_id:08x}\nparentCID=ffffffff\ncreateType="streamOptimized"\n\n'
        f'# Extent description\nRDONLY {sectors} SPARSE "{name}"\n\n'
        "# The Disk Data Base\n#DDB\n\n"
        f'ddb.adapterType = "lsilogic"\nddb.geometry.cylinders = "{max(1, min(65535, sectors // 16065))}"\n'
        'ddb.geometry.heads = "255"\nddb.geometry.sectors = "63"\nddb.virtualHWVersion = "19"\n'
    )
    return text.encode().ljust(DESCRIPTOR_SECTORS * SECTOR, b"\0")


def pack_grain(sector: int, data: bytes | bytearray | memoryview) -> bytes:
    """A compressed grain with its marker, padded to a sector."""
    packed = isal_zlib.compress(data, 1)
    length = 12 + len(packed)
    return b"".join((struct.pack("<QI", sector, len(packed)), packed, b"\0" * (-length % SECTOR)))


def _marker(kind: int, sectors: int) -> bytes:
    return struct.pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0")


class StreamWriter:
    """Gives the pieces of a stream in order. Grains come packed, ascending; zero ones are left out by the caller."""

    def __init__(self, capacity: int, name: str, content_id: int) -> None:
        self.capacity = capacity
        self._name = name
        self._content_id = content_id
        self._position = 0
        self._tables: dict[int, int] = {}
        self._table: list[int] | None = None
        self._table_number = -1

    def _emit(self, data: bytes) -> bytes:
        self._position += len(data) // SECTOR
        return data

    def start(self) -> bytes:
        head = header(self.capacity, DIRECTORY_AT_END) + descriptor(self.capacity, self._name, self._content_id)
        return self._emit(head.ljust(OVERHEAD_SECTORS * SECTOR, b"\0"))

    def grain(self, number: int, packed: bytes) -> Iterator[bytes]:
        """The bytes that grain `number` (64 KiB each) adds, a finished grain table before it included."""
        table, entry = divmod(number, TABLE_ENTRIES)
        if table != self._table_number:
            yield from self._close_table()
            self._table_number, self._table = table, [0] * TABLE_ENTRIES
        assert self._table is not None
        self._table[entry] = self._position
        yield self._emit(packed)

    def _close_table(self) -> Iterator[bytes]:
        if self._table is None:
            return
        sectors = TABLE_ENTRIES * 4 // SECTOR
        yield self._emit(_marker(MARK_TABLE, sectors))
        self._tables[self._table_number] = self._position
        yield self._emit(struct.pack(f"<{TABLE_ENTRIES}I", *self._table))
        self._table = None

    def finish(self) -> Iterator[bytes]:
        """Last table, directory, footer, end of stream."""
        yield from self._close_table()
        count = -(-self.capacity // TABLE_SPAN)
        directory = struct.pack(f"<{count}I", *(self._tables.get(number, 0) for number in range(count)))
        directory += b"\0" * (-len(directory) % SECTOR)
        yield self._emit(_marker(MARK_DIRECTORY, len(directory) // SECTOR))
        at = self._position
        yield self._emit(directory)
        yield self._emit(_marker(MARK_FOOTER, 1) + header(self.capacity, at) + b"\0" * SECTOR)


@dataclass(frozen=True)
class Grain:
    """Decompressed data at a byte offset of the disk."""

    offset: int
    data: bytes


class StreamReader:
    """Takes a stream in pieces of any size, gives grains, refuses whatever is wrong with it.

    Feed everything, then call `close`: only that says whether the stream was whole.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._taken = 0
        self._head: tuple[int, ...] | None = None
        self._grains: dict[int, dict[int, int]] = {}
        self._tables: dict[int, int] = {}
        self._directory: tuple[int, tuple[int, ...]] | None = None
        self._footer: int | None = None
        self._ended = False
        self.capacity = 0

    def feed(self, data: bytes) -> Iterator[Grain]:
        """Grains completed by these bytes.

        Raises:
            BadStreamError: bad magic, marker, compression, position or order.
        """
        if self._ended and data.strip(b"\0"):
            raise BadStreamError("data after the end of the stream")
        self._buffer += data
        if self._head is None and not self._read_head():
            return
        while not self._ended:
            found = self._step()
            if found is None:
                return
            if isinstance(found, Grain):
                yield found

    def close(self) -> None:
        """Say that nothing more comes.

        Raises:
            BadStreamError: the stream is truncated, or its directory does not name the grains that came.
        """
        if not self._ended:
            raise BadStreamError("the stream ended early")
        if self._directory is None or self._footer is None:
            raise BadStreamError("no grain directory or no footer")
        at, entries = self._directory
        named = {number: sector for number, sector in enumerate(entries) if sector}
        if at != self._footer or named != self._tables or set(named) != set(self._grains):
            raise BadStreamError("the grain directory does not match the grains")

    def _take(self, length: int) -> bytes:
        data = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        self._taken += length
        return data

    def _read_head(self) -> bool:
        if len(self._buffer) < OVERHEAD_SECTORS * SECTOR:
            return False
        fields = HEADER.unpack(self._buffer[:SECTOR])
        if fields[0] != MAGIC:
            raise BadStreamError("not a VMDK")
        if fields[1] != VERSION or fields[2] & FLAGS != FLAGS or fields[16] != 1:
            raise BadStreamError("not a stream-optimised VMDK")
        if fields[4] != GRAIN_SECTORS or fields[7] != TABLE_ENTRIES or fields[9] != DIRECTORY_AT_END:
            raise BadStreamError("a grain size, table size or directory position that no ESXi accepts")
        if len(self._buffer) < fields[10] * SECTOR:
            return False
        self._head, self.capacity = fields, fields[3] * SECTOR
        self._take(fields[10] * SECTOR)
        return True

    def _step(self) -> Grain | bool | None:
        """One marker: a grain, True for metadata, None when bytes are missing."""
        if len(self._buffer) < SECTOR:
            return None
        value, size, kind = struct.unpack_from("<QII", self._buffer)
        if size:
            return self._grain(value, size)
        if kind == MARK_END and value == 0:
            self._take(SECTOR)
            self._ended = True
            return True
        if kind not in (MARK_TABLE, MARK_DIRECTORY, MARK_FOOTER) or not 0 < value <= (64 << 20) // SECTOR:
            raise BadStreamError(f"bad marker at sector {self._taken // SECTOR}")
        if len(self._buffer) < (value + 1) * SECTOR:
            return None
        self._take(SECTOR)
        at = self._taken // SECTOR
        self._metadata(kind, at, self._take(value * SECTOR))
        return True

    def _grain(self, sector: int, size: int) -> Grain | None:
        if size > 2 * GRAIN_BYTES or sector % GRAIN_SECTORS or sector * SECTOR >= self.capacity or self._footer:
            raise BadStreamError(f"bad grain marker at sector {self._taken // SECTOR}")
        length = 12 + size
        if len(self._buffer) < length + -length % SECTOR:
            return None
        at = self._taken // SECTOR
        packed = self._take(length + -length % SECTOR)[12:length]
        try:
            data = isal_zlib.decompress(packed)
        except BAD_DATA as error:
            raise BadStreamError(f"grain at sector {at} does not decompress") from error
        offset = sector * SECTOR
        room = min(GRAIN_BYTES, self.capacity - offset)
        if len(data) not in (GRAIN_BYTES, room):
            raise BadStreamError(f"grain at sector {at} has {len(data)} bytes")
        table, entry = divmod(offset // GRAIN_BYTES, TABLE_ENTRIES)
        if self._grains.setdefault(table, {}).setdefault(entry, at) != at:
            raise BadStreamError(f"grain at sector {at} came twice")
        return Grain(offset, data[:room])

    def _metadata(self, kind: int, at: int, data: bytes) -> None:
        if kind == MARK_TABLE:
            entries = {n: v for n, v in enumerate(struct.unpack(f"<{len(data) // 4}I", data)) if v}
            match = [number for number, grains in self._grains.items() if grains == entries]
            if len(match) != 1:
                raise BadStreamError(f"grain table at sector {at} does not match the grains")
            self._tables[match[0]] = at
            self._grains[match[0]] = {}
        elif kind == MARK_DIRECTORY:
            self._directory = (at, struct.unpack(f"<{len(data) // 4}I", data))
        else:
            fields = HEADER.unpack(data[:SECTOR])
            if fields[0] != MAGIC or fields[3] * SECTOR != self.capacity:
                raise BadStreamError("bad footer")
            self._footer = fields[9]
