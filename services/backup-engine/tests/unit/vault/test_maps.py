"""The map tree equals a plain list of entries, whatever is written over whatever parent."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from backup_engine.ports.vault import ObjectType
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import ObjectDamaged
from backup_engine.vault.extents import Positions, chunk_positions, union
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.maps import MapBuilder, MapReader
from backup_engine.vault.nodes import HOLE, PAGE_ENTRIES, ZERO, Entry, Geometry, Page, Root, data
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
MIB = 1 << 20
CODEC = Codec(Keyring.create(uuid4()))
ENTRIES = st.one_of(st.just(HOLE), st.just(ZERO), st.integers(0, 3).map(lambda number: data(bytes([number]) * 32)))


class Nodes:
    """Plaintexts of nodes by id, and how often each was fetched."""

    def __init__(self) -> None:
        self.plain: dict[bytes, bytes] = {}
        self.fetched: list[bytes] = []

    async def fetch(self, kind: ObjectType, object_id: bytes, generation: int | None = None) -> bytes:
        self.fetched.append(object_id)
        return self.plain[object_id]

    async def build(
        self, chunks: int, entries: dict[int, Entry], base: MapReader | None = None
    ) -> tuple[MapReader, list[int]]:
        builder = MapBuilder(Geometry(chunks * MIB, MIB), CODEC, base)
        pages = [await builder.add(position, entries[position]) for position in sorted(entries)]
        last, root = builder.finish()
        written = []
        for page in [*pages, last]:
            if page is not None:
                self.plain[page.id] = page.plain
                written.append(page.index)
        root_id = CODEC.object_id(ObjectType.ROOT, root.pack())
        self.plain[root_id] = root.pack()
        return await MapReader.open(root_id, self.fetch, CODEC), written


POSITIONS = st.one_of(st.integers(0, 40), st.integers(PAGE_ENTRIES - 3, PAGE_ENTRIES + 3), st.integers(0, 13000))


@given(st.integers(1, 13000), st.lists(st.dictionaries(POSITIONS, ENTRIES, max_size=12), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
async def test_any_sequence_of_incrementals_equals_a_list(chunks: int, writes: list[dict[int, Entry]]) -> None:
    nodes, model = Nodes(), [HOLE] * chunks
    found: MapReader | None = None
    for entries in writes:
        inside = {position: entry for position, entry in entries.items() if position < chunks}
        for position, entry in inside.items():
            model[position] = entry
        found, written = await nodes.build(chunks, inside, found)
        assert set(written) <= {position // PAGE_ENTRIES for position in inside}
    assert found is not None
    for position in {0, chunks - 1, *(at for entries in writes for at in entries if at < chunks)}:
        assert await found.entry(position) == model[position]
    expected = [(at, entry.id) for at, entry in enumerate(model) if entry.id]
    assert [pair async for pair in found.data()] == expected
    assert found.root.data_chunks == len(expected)
    assert found.root.zero_chunks == model.count(ZERO)
    fresh, _ = await nodes.build(chunks, {at: entry for at, entry in enumerate(model) if entry != HOLE})
    assert fresh.root.pack() == found.root.pack()


async def test_pages_outside_the_change_are_neither_read_nor_written() -> None:
    nodes = Nodes()
    chunks = 20 * PAGE_ENTRIES
    base, _ = await nodes.build(chunks, {page * PAGE_ENTRIES: data(bytes([page]) * 32) for page in range(20)})
    nodes.fetched.clear()
    _, written = await nodes.build(chunks, {7 * PAGE_ENTRIES + 5: ZERO}, base)
    assert written == [7]
    assert len(nodes.fetched) == 2  # The one page, and the new root when it was opened.


async def test_a_page_that_became_holes_is_missing_from_the_root() -> None:
    nodes = Nodes()
    base, _ = await nodes.build(5000, {4500: ZERO})
    emptied, written = await nodes.build(5000, {4500: HOLE}, base)
    assert written == []
    assert emptied.root[1] is None


async def test_entries_out_of_order_or_beyond_the_disk_are_a_bug() -> None:
    builder = MapBuilder(Geometry(10 * MIB, MIB), CODEC)
    await builder.add(5, ZERO)
    for position in (5, 4, 10):
        with pytest.raises(ValueError, match="position"):
            await builder.add(position, ZERO)


def test_a_map_is_not_continued_on_a_disk_of_another_size() -> None:
    base = MapReader(Root(Geometry(10 * MIB, MIB)), Nodes().fetch, CODEC)
    with pytest.raises(ValueError, match="another size"):
        MapBuilder(Geometry(11 * MIB, MIB), CODEC, base)


@given(st.lists(ENTRIES, min_size=1, max_size=50), st.data())
@settings(max_examples=60)
def test_a_page_cut_or_extended_is_refused(entries: list[Entry], choice: st.DataObject) -> None:
    page = Page(len(entries))
    for at, entry in enumerate(entries):
        page[at] = entry
    plain = page.pack()
    again = Page.unpack(plain, "name")
    assert [again[at] for at in range(len(again))] == entries
    for altered in (plain[: choice.draw(st.integers(0, len(plain) - 1))], plain + b"x"):
        with pytest.raises(ObjectDamaged):
            Page.unpack(altered, "name")


def test_a_root_that_does_not_fit_its_disk_is_refused() -> None:
    root = Root(Geometry(10 * MIB, MIB)).pack()
    wrong = Root(Geometry(5000 * MIB, MIB)).pack()
    tail = root[-28:]
    for plain in (wrong[:-28] + tail, root[:-1], root + b"\0", b"P" + root[1:]):
        with pytest.raises(ObjectDamaged):
            Root.unpack(plain, "name")


def test_the_map_of_62_tib_stays_below_the_largest_object() -> None:
    root = Root(Geometry(62 * 1024**4, MIB))
    for page in range(root.geometry.pages):
        root[page] = bytes([1]) * 32
    assert len(root.pack()) < 600_000


@pytest.mark.invariant("D10")
@given(st.lists(st.tuples(st.integers(-5, 300), st.integers(0, 80)), max_size=12), st.integers(0, 250))
def test_extents_in_any_shape_give_the_brute_force_set(extents: list[tuple[int, int]], capacity: int) -> None:
    size = 8
    expected = {
        byte // size for offset, length in extents for byte in range(max(offset, 0), min(offset + length, capacity))
    }
    ranges = chunk_positions(extents, capacity=capacity, chunk_size=size)
    found = [position for part in ranges for position in part]
    assert found == sorted(expected)
    assert all(earlier.stop < later.start for earlier, later in itertools.pairwise(ranges))
    inside = Positions(ranges)
    assert {position for position in range(-2, 50) if position in inside} == expected
    more = union(ranges, [range(3, 5), range(40, 41)])
    assert {position for part in more for position in part} == expected | {3, 4, 40}


def test_threads_do_not_share_compressors() -> None:
    plains = [bytes([number]) * 300_000 + bytes(range(256)) * 10 for number in range(64)]
    with ThreadPoolExecutor(8) as threads:
        frames = list(threads.map(lambda plain: _round_trip(plain) == plain, plains))
    assert all(frames)


def _round_trip(plain: bytes) -> bytes:
    object_id = CODEC.object_id(ObjectType.CHUNK, plain)
    return CODEC.open(ObjectType.CHUNK, object_id, 0, b"".join(CODEC.seal(ObjectType.CHUNK, object_id, 0, plain)))
