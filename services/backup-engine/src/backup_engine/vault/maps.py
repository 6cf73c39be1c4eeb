"""Reading and building the map of one disk (§6) with a bounded number of pages in memory.

The reader loads pages on demand. The builder takes entries in ascending order and yields the pages that
they touch; it puts nothing into the store itself.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from backup_engine.ports.vault import ObjectType
from backup_engine.vault.codec import Codec
from backup_engine.vault.nodes import HOLE, PAGE_ENTRIES, Entry, EntryKind, Geometry, Page, Root
from backup_engine.vault.objects import Fetch

PAGES_IN_MEMORY = 16
"""Pages that one map keeps: 2 MiB. With four disks, read and built at once, under 64 in all are in use."""


class MapReader:
    """The map of one disk as a restore point left it."""

    def __init__(self, root: Root, fetch: Fetch, codec: Codec) -> None:
        self.root = root
        self._fetch = fetch
        self._codec = codec
        self._pages: OrderedDict[int, Page] = OrderedDict()
        self._loading = asyncio.Lock()  # Many ask for the same page at once.

    @classmethod
    async def open(cls, root_id: bytes, fetch: Fetch, codec: Codec) -> "MapReader":
        """Load the root. Raises ChunkDamaged, or ObjectDamaged if its content is no root."""
        name = codec.names.generations(ObjectType.ROOT, root_id)
        return cls(Root.unpack(await fetch(ObjectType.ROOT, root_id), name), fetch, codec)

    @property
    def geometry(self) -> Geometry:
        return self.root.geometry

    def root_page(self, index: int) -> bytes | None:
        """Return the id of a page; None if it is missing or beyond the disk."""
        return self.root[index] if index < self.geometry.pages else None

    async def page(self, index: int) -> Page | None:
        """Return a page, or None if it is missing, i.e. holes only. Raises ChunkDamaged or ObjectDamaged."""
        page_id = self.root[index]
        if page_id is None:
            return None
        async with self._loading:
            return await self._load(index, page_id)

    async def _load(self, index: int, page_id: bytes) -> Page:
        if index in self._pages:
            self._pages.move_to_end(index)
            return self._pages[index]
        name = self._codec.names.generations(ObjectType.PAGE, page_id)
        page = Page.unpack(await self._fetch(ObjectType.PAGE, page_id), name)
        if len(page) != self.geometry.page_length(index):
            # Content-addressed pages can be swapped only by who writes roots; this is a bug of a writer.
            raise ValueError(f"page {index} has {len(page)} entries")
        self._pages[index] = page
        if len(self._pages) > PAGES_IN_MEMORY:
            self._pages.popitem(last=False)
        return page

    async def entry(self, position: int) -> Entry:
        """Return what a position holds; beyond the disk it is a hole."""
        if not 0 <= position < self.geometry.chunks:
            return HOLE
        page = await self.page(position // PAGE_ENTRIES)
        return HOLE if page is None else page[position % PAGE_ENTRIES]

    async def data(self, *, pages: Iterable[int] | None = None) -> AsyncIterator[tuple[int, bytes]]:
        """Yield (position, chunk id) of all data, ascending; with ``pages``, of these pages only."""
        for index in self.root.present_pages() if pages is None else pages:
            page = await self.page(index)
            if page is not None:
                for at in page.data_positions():
                    yield index * PAGE_ENTRIES + at, page[at].id


@dataclass(frozen=True, slots=True)
class NewPage:
    """A finished page, which is to be stored unless the parent has it at the same place."""

    index: int
    id: bytes
    plain: bytes


class MapBuilder:
    """Builds a disk's map from entries in ascending order.

    Positions that are not given keep the entry of ``base`` (an incremental), else they are holes. Pages of
    the base without a given position are taken over by their id alone, without being read.
    """

    def __init__(self, geometry: Geometry, codec: Codec, base: MapReader | None = None) -> None:
        if base is not None and base.geometry != geometry:
            raise ValueError("a map of another size or chunk size cannot be continued")
        self.geometry = geometry
        self._codec = codec
        self._base = base
        self._root = base.root.copy() if base else Root(geometry)
        self._index = -1
        self._page = Page(0)
        self._last = -1

    async def add(self, position: int, entry: Entry) -> NewPage | None:
        """Set an entry; return the page that this finished, if it did. Its id may be the base's."""
        if not self._last < position < self.geometry.chunks:
            raise ValueError(f"position {position} after {self._last} of {self.geometry.chunks}")
        self._last = position
        finished = None
        if position // PAGE_ENTRIES != self._index:
            finished = self._finish_page()
            self._index = position // PAGE_ENTRIES
            known = await self._base.page(self._index) if self._base else None
            self._page = known.copy() if known else Page(self.geometry.page_length(self._index))
            self._count(-1)
        self._page[position % PAGE_ENTRIES] = entry
        return finished

    def finish(self) -> tuple[NewPage | None, Root]:
        """Return the last page, if one was begun and is not empty, and the root."""
        return self._finish_page(), self._root

    def _finish_page(self) -> NewPage | None:
        if self._index < 0:
            return None
        self._count(1)
        if self._page.empty:
            self._root[self._index] = None
            return None
        plain = self._page.pack()
        page_id = self._codec.object_id(ObjectType.PAGE, plain)
        self._root[self._index] = page_id
        return NewPage(self._index, page_id, plain)

    def _count(self, sign: int) -> None:
        """Take the page out of the root's sums before it changes, and back in afterwards."""
        self._root.data_chunks += sign * self._page.count(EntryKind.DATA)
        self._root.zero_chunks += sign * self._page.count(EntryKind.ZERO)
