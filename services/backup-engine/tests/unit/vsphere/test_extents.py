"""Areas of a disk, against brute force over every byte."""

import itertools

import pytest
from backup_engine.domain import extents as subject
from backup_engine.domain.extents import (
    AreaPage,
    Coverage,
    CoverageDoubt,
    Extent,
    chunk_count,
    chunk_extent,
    chunks_of,
    normalize,
    pieces,
)
from hypothesis import given
from hypothesis import strategies as st

CAPACITY = 200
areas = st.lists(st.builds(Extent, st.integers(0, 260), st.integers(0, 90)), max_size=12)


def bytes_of(extents: list[Extent] | tuple[Extent, ...]) -> set[int]:
    return {byte for extent in extents for byte in range(extent.offset, extent.end) if byte < CAPACITY}


@given(areas)
def test_the_union_holds_exactly_the_bytes_of_its_areas_sorted_and_apart(given_areas: list[Extent]) -> None:
    union = normalize(given_areas, CAPACITY)
    assert bytes_of(union) == bytes_of(given_areas)
    assert sum(extent.length for extent in union) == len(bytes_of(union))
    assert all(left.end < right.offset for left, right in itertools.pairwise(union))


@pytest.mark.invariant("D10")
@given(areas, st.integers(1, 70))
def test_chunks_of_any_list_of_areas_equal_a_brute_force_set(given_areas: list[Extent], chunk_bytes: int) -> None:
    expected = sorted({byte // chunk_bytes for byte in bytes_of(given_areas)})
    assert chunks_of(given_areas, CAPACITY, chunk_bytes) == expected


@given(areas, st.integers(1, 70))
def test_pieces_are_the_same_bytes_and_cross_no_boundary(given_areas: list[Extent], piece_bytes: int) -> None:
    union = normalize(given_areas, CAPACITY)
    cut = list(pieces(union, piece_bytes))
    assert bytes_of(tuple(cut)) == bytes_of(union)
    assert all(piece.offset // piece_bytes == (piece.end - 1) // piece_bytes for piece in cut)


@given(st.integers(1, 500), st.integers(1, 90))
def test_chunks_tile_the_disk_and_the_last_is_as_short_as_the_disk_says(capacity: int, chunk_bytes: int) -> None:
    tiles = [chunk_extent(index, capacity, chunk_bytes) for index in range(chunk_count(capacity, chunk_bytes))]
    assert [tile.offset for tile in tiles] == list(range(0, capacity, chunk_bytes))
    assert tiles[-1].end == capacity


@pytest.mark.invariant("D1")
@given(st.lists(st.integers(1, 60), min_size=1, max_size=20))
def test_coverage_asks_on_from_each_returned_end_until_capacity(lengths: list[int]) -> None:
    coverage, asked = Coverage(CAPACITY), []
    for length in [*lengths, *([60] * 4)]:
        if coverage.complete:
            break
        asked.append(coverage.next_offset)
        coverage.add(AreaPage(coverage.next_offset, length, (Extent(coverage.next_offset, 1),)))
    assert coverage.complete
    assert asked == [0, *itertools.accumulate([*lengths, *([60] * 4)])][: len(asked)]
    assert bytes_of(coverage.extents()) == set(asked)


def test_an_unfinished_coverage_gives_no_extents() -> None:
    coverage = Coverage(CAPACITY)
    coverage.add(AreaPage(0, CAPACITY - 1, ()))
    with pytest.raises(CoverageDoubt, match="end at byte 199 of 200"):
        coverage.extents()


@pytest.mark.invariant("D2")
@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (AreaPage(100, 0, ()), "no progress"),
        (AreaPage(100, -5, ()), "no progress"),
        (AreaPage(0, 100, ()), "answered from byte 0"),
        (AreaPage(100, 50, (Extent(-1, 3),)), "negative"),
    ],
)
def test_a_page_without_progress_is_a_doubt_with_its_reason(page: AreaPage, reason: str) -> None:
    coverage = Coverage(CAPACITY)
    coverage.add(AreaPage(0, 100, ()))
    with pytest.raises(CoverageDoubt, match=reason):
        coverage.add(page)


def test_a_list_too_scattered_for_memory_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "MOST_EXTENTS", 3)
    coverage = Coverage(CAPACITY)
    coverage.add(AreaPage(0, 10, tuple(Extent(0, 5) for _ in range(9))))
    with pytest.raises(CoverageDoubt, match="separate areas"):
        coverage.add(AreaPage(10, 10, tuple(Extent(10 + 2 * n, 1) for n in range(4))))
