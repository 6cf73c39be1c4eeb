"""Map nodes: what a page and a root say, and their canonical bytes (§6). No I/O and no keys."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backup_engine.vault.errors import FormatUnsupported, ObjectDamaged

PAGE_ENTRIES = 4096
"""Chunk positions of one page: 16 GiB of disk in at most 136 KiB of page."""
CHUNK_SIZES = (1 << 20, 4 << 20)
DEFAULT_CHUNK_SIZE = 4 << 20
ID_BYTES = 32
_HEAD = struct.Struct("<cBI")
_ROOT_TAIL = struct.Struct("<IQQQ")
_VERSION = 1

_Bytes = npt.NDArray[np.uint8]


class EntryKind(IntEnum):
    HOLE = 0
    ZERO = 1
    DATA = 2


class Entry(NamedTuple):
    """What one position holds; ``id`` is empty unless the kind is DATA."""

    kind: EntryKind
    id: bytes


HOLE = Entry(EntryKind.HOLE, b"")
ZERO = Entry(EntryKind.ZERO, b"")


def data(object_id: bytes) -> Entry:
    return Entry(EntryKind.DATA, object_id)


class Page:
    """Entries of up to 4,096 positions, 33 bytes each in memory."""

    __slots__ = ("_ids", "kinds")

    def __init__(self, count: int) -> None:
        self.kinds: _Bytes = np.zeros(count, dtype=np.uint8)
        self._ids: _Bytes = np.zeros((count, ID_BYTES), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index: int) -> Entry:
        kind = EntryKind(int(self.kinds[index]))
        if kind is EntryKind.DATA:
            return Entry(kind, self._ids[index].tobytes())
        return HOLE if kind is EntryKind.HOLE else ZERO

    def __setitem__(self, index: int, entry: Entry) -> None:
        self.kinds[index] = entry.kind
        if entry.kind is EntryKind.DATA:
            self._ids[index] = np.frombuffer(entry.id, dtype=np.uint8)

    def copy(self) -> "Page":
        twin = Page(len(self))
        twin.kinds[:], twin._ids[:] = self.kinds, self._ids
        return twin

    def data_positions(self) -> Iterator[int]:
        """Yield the indexes of the entries that name an object."""
        yield from (int(index) for index in np.flatnonzero(self.kinds == EntryKind.DATA))

    def count(self, kind: EntryKind) -> int:
        return int(np.count_nonzero(self.kinds == kind))

    @property
    def empty(self) -> bool:
        """Whether all entries are holes; such a page is never stored."""
        return not self.kinds.any()

    def pack(self) -> bytes:
        return _pack(b"P", self.kinds, self._ids)

    @classmethod
    def unpack(cls, plain: bytes, name: str) -> "Page":
        """Read canonical bytes. Raises ObjectDamaged or FormatUnsupported, naming the object."""
        page, rest = _unpack(b"P", plain, name)
        if rest or not 1 <= len(page) <= PAGE_ENTRIES:
            raise ObjectDamaged(name=name, reason="its page is malformed")
        return page


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size of a disk and of its chunks."""

    capacity_bytes: int
    chunk_size: int

    def __post_init__(self) -> None:
        if self.chunk_size not in CHUNK_SIZES or self.capacity_bytes < 0:
            raise ValueError(f"no disk: {self.capacity_bytes} bytes in chunks of {self.chunk_size}")

    @property
    def chunks(self) -> int:
        return -(-self.capacity_bytes // self.chunk_size)

    @property
    def pages(self) -> int:
        return -(-self.chunks // PAGE_ENTRIES)

    def page_length(self, page: int) -> int:
        """Entries of this page: 4,096, or what is left for the last one."""
        return min(PAGE_ENTRIES, self.chunks - page * PAGE_ENTRIES)

    def chunk_length(self, position: int) -> int:
        """Bytes of this chunk; the last one of a disk is not padded."""
        return min(self.chunk_size, self.capacity_bytes - position * self.chunk_size)


class Root:
    """Ids of a disk's pages; None stands for a missing page, that is 4,096 holes."""

    __slots__ = ("_nodes", "data_chunks", "geometry", "zero_chunks")

    def __init__(self, geometry: Geometry, nodes: Page | None = None) -> None:
        self.geometry = geometry
        self.data_chunks = 0
        self.zero_chunks = 0
        self._nodes = Page(geometry.pages) if nodes is None else nodes

    def __getitem__(self, page: int) -> bytes | None:
        return self._nodes[page].id or None

    def __setitem__(self, page: int, page_id: bytes | None) -> None:
        self._nodes[page] = HOLE if page_id is None else data(page_id)

    def copy(self) -> "Root":
        """Return a root of its own with the same pages and sums."""
        twin = Root(self.geometry, self._nodes.copy())
        twin.data_chunks, twin.zero_chunks = self.data_chunks, self.zero_chunks
        return twin

    def present_pages(self) -> Iterator[int]:
        """Yield the indexes of pages that exist: the cost of a sparse disk is that of its pages."""
        return self._nodes.data_positions()

    def pack(self) -> bytes:
        """Return the canonical bytes."""
        nodes = _pack(b"R", self._nodes.kinds, self._nodes._ids)  # noqa: SLF001 - nodes are this module's own
        geometry = self.geometry
        return nodes + _ROOT_TAIL.pack(geometry.chunk_size, geometry.capacity_bytes, self.data_chunks, self.zero_chunks)

    @classmethod
    def unpack(cls, plain: bytes, name: str) -> "Root":
        """Read canonical bytes. Raises ObjectDamaged or FormatUnsupported, naming the object."""
        nodes, rest = _unpack(b"R", plain, name)
        if len(rest) != _ROOT_TAIL.size or (nodes.kinds == EntryKind.ZERO).any():
            raise ObjectDamaged(name=name, reason="its root is malformed")
        chunk_size, capacity, data_chunks, zero_chunks = _ROOT_TAIL.unpack(rest)
        if chunk_size not in CHUNK_SIZES:
            raise FormatUnsupported(name=name, reason=f"chunks of {chunk_size} bytes")
        geometry = Geometry(capacity, chunk_size)
        if geometry.pages != len(nodes):
            raise ObjectDamaged(name=name, reason="its root does not fit its disk")
        root = cls(geometry, nodes)
        root.data_chunks, root.zero_chunks = data_chunks, zero_chunks
        return root


def _pack(kind: bytes, kinds: _Bytes, ids: _Bytes) -> bytes:
    named: _Bytes = ids[kinds == EntryKind.DATA]
    return _HEAD.pack(kind, _VERSION, len(kinds)) + kinds.tobytes() + named.tobytes()


def _unpack(kind: bytes, plain: bytes, name: str) -> tuple[Page, bytes]:
    if len(plain) < _HEAD.size or plain[:1] != kind:
        raise ObjectDamaged(name=name, reason="it is no such map node")
    _, version, count = _HEAD.unpack_from(plain)
    if version != _VERSION:
        raise FormatUnsupported(name=name, reason=f"map nodes of version {version}")
    ids_at = _HEAD.size + count
    if ids_at > len(plain):
        raise ObjectDamaged(name=name, reason="its map node is cut short")
    page = Page(count)
    page.kinds[:] = np.frombuffer(plain, dtype=np.uint8, count=count, offset=_HEAD.size)
    if (page.kinds > EntryKind.DATA).any():
        raise FormatUnsupported(name=name, reason="map entries of an unknown kind")
    named = page.kinds == EntryKind.DATA
    end = ids_at + ID_BYTES * int(np.count_nonzero(named))
    if end > len(plain):
        raise ObjectDamaged(name=name, reason="its map node is cut short")
    ids = np.frombuffer(plain, dtype=np.uint8, count=end - ids_at, offset=ids_at)
    page._ids[named] = ids.reshape(-1, ID_BYTES)  # noqa: SLF001 - nodes are this module's own
    return page, plain[end:]
