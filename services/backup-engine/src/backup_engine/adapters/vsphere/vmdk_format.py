"""The bytes of a stream-optimised VMDK: header, markers, tables, descriptor.

Source: «Virtual Disk Format 5.0», VMware (stream-optimised compressed sparse extents). All integers are little-endian;
positions are in sectors of 512 bytes; a grain is 128 sectors, a grain table 512 entries.

    header · descriptor · padding · { grain… grain-table }… · grain-directory · footer · end-of-stream

Reading is `vmdk_reader.py`, writing `vmdk_writer.py`.
"""

import struct
from dataclasses import dataclass

SECTOR = 512
GRAIN_SECTORS = 128
GRAIN_BYTES = GRAIN_SECTORS * SECTOR
TABLE_ENTRIES = 512
TABLE_BYTES = TABLE_ENTRIES * 4
SPAN_BYTES = TABLE_ENTRIES * GRAIN_BYTES
"""Disk bytes that one grain table describes: 32 MiB."""

MAGIC = b"KDMV"
FLAG_NEWLINE_CHECK = 1 << 0
FLAG_COMPRESSED = 1 << 16
FLAG_MARKERS = 1 << 17
STREAM_FLAGS = FLAG_NEWLINE_CHECK | FLAG_COMPRESSED | FLAG_MARKERS
DIRECTORY_AT_END = 0xFFFF_FFFF_FFFF_FFFF
DEFLATE = 1

END_OF_STREAM, GRAIN_TABLE, GRAIN_DIRECTORY, FOOTER = range(4)

_HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
MARKER = struct.Struct("<QII")
"""Value, size, type: for a grain the value is its first sector and `type` is already data."""
GRAIN_MARKER = struct.Struct("<QI")
_NEWLINES = b"\n \r\n"


class NotAStream(ValueError):
    """The header is not that of a stream-optimised VMDK; the message says what is odd."""


@dataclass(frozen=True, slots=True)
class Header:
    """Header, and equally footer, of an extent."""

    capacity_sectors: int
    descriptor_offset: int
    descriptor_sectors: int
    directory_offset: int
    overhead_sectors: int
    version: int = 3

    def pack(self) -> bytes:
        """512 bytes."""
        return _HEADER.pack(
            MAGIC,
            self.version,
            STREAM_FLAGS,
            self.capacity_sectors,
            GRAIN_SECTORS,
            self.descriptor_offset,
            self.descriptor_sectors,
            TABLE_ENTRIES,
            0,
            self.directory_offset,
            self.overhead_sectors,
            0,
            _NEWLINES,
            DEFLATE,
        )

    @classmethod
    def unpack(cls, sector: bytes) -> "Header":
        """Read header or footer. Raises NotAStream."""
        fields = _HEADER.unpack(sector)
        magic, version, flags, capacity, grain, descriptor_offset, descriptor_sectors, entries = fields[:8]
        directory_offset, overhead, _, newlines, algorithm = fields[9:]
        if magic != MAGIC:
            raise NotAStream("no VMDK signature")
        if newlines != _NEWLINES:
            raise NotAStream("its line ends were altered, as by a transfer in text mode")
        if version not in (1, 2, 3) or flags & STREAM_FLAGS != STREAM_FLAGS or algorithm != DEFLATE:
            raise NotAStream(f"not stream-optimised (version {version}, flags {flags:#x}, compression {algorithm})")
        if grain != GRAIN_SECTORS or entries != TABLE_ENTRIES:
            raise NotAStream(f"grains of {grain} sectors in tables of {entries}")
        return cls(capacity, descriptor_offset, descriptor_sectors, directory_offset, overhead, version)


def marker(sectors: int, kind: int) -> bytes:
    """A metadata marker announcing `sectors` sectors after it."""
    return MARKER.pack(sectors, 0, kind).ljust(SECTOR, b"\0")


def padded(data: bytes) -> bytes:
    """Filled up with zeros to whole sectors."""
    return data + bytes(-len(data) % SECTOR)


def sectors_of(size_bytes: int) -> int:
    """Sectors that hold so many bytes."""
    return -(-size_bytes // SECTOR)


def descriptor(capacity_sectors: int, content_id: int) -> bytes:
    """The embedded text that names the extent; adapters and geometry are decided by the VM, not by it."""
    return (
        "# Disk DescriptorFile\n"
        "version=1\n"
        f"CID={content_id:08x}\n"
        "parentCID=ffffffff\n"
        'createType="streamOptimized"\n'
        "\n# Extent description\n"
        f'RW {capacity_sectors} SPARSE "disk.vmdk"\n'
        "\n# The Disk Data Base\n#DDB\n\n"
        'ddb.adapterType = "lsilogic"\n'
        f'ddb.geometry.cylinders = "{min(capacity_sectors // (255 * 63), 65535)}"\n'
        'ddb.geometry.heads = "255"\n'
        'ddb.geometry.sectors = "63"\n'
        'ddb.virtualHWVersion = "7"\n'
    ).encode()
