"""Stream-optimised VMDKs: what is written reads back, and nothing damaged is accepted."""

import zlib
from collections.abc import AsyncIterator

import pytest
from backup_engine.adapters.vsphere.vmdk_format import (
    END_OF_STREAM,
    FOOTER,
    GRAIN_BYTES,
    GRAIN_MARKER,
    MARKER,
    SECTOR,
    Header,
    marker,
    padded,
)
from backup_engine.adapters.vsphere.vmdk_reader import StreamParser, inflate, read_blocks
from backup_engine.adapters.vsphere.vmdk_writer import StreamWriter
from backup_engine.errors.hypervisor import DiskStreamDamaged
from hypothesis import given, settings
from hypothesis import strategies as st

MIB = 1 << 20
CAPACITY = 40 * MIB + 3 * SECTOR


def stream_of(blocks: list[tuple[int, bytes]], capacity: int = CAPACITY) -> bytes:
    writer = StreamWriter(capacity)
    return writer.begin() + b"".join(writer.write(offset, data) for offset, data in blocks) + writer.finish()


def read(stream: bytes, capacity: int = CAPACITY, cut: int = 10_007) -> dict[int, bytes]:
    parser = StreamParser(capacity)
    grains = [g for at in range(0, len(stream), cut) for g in parser.feed(stream[at : at + cut])]
    parser.finish()
    return dict(inflate(grains, capacity))


def grain(fill: int) -> bytes:
    return bytes([fill]) * GRAIN_BYTES


BLOCKS = [(0, grain(1)), (5 * GRAIN_BYTES, grain(2)), (33 * MIB, grain(3)), (40 * MIB, b"\x04" * 3 * SECTOR)]
STREAM = stream_of(BLOCKS)
FIRST_GRAIN = 128 * SECTOR


def test_a_written_stream_reads_back_at_any_cut() -> None:
    for cut in (1, 511, 512, 65_536, len(STREAM)):
        assert read(STREAM, cut=cut) == dict(BLOCKS)


@pytest.mark.invariant("D61")
@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.integers(0, 160), st.binary(min_size=1, max_size=200), max_size=12),
    st.integers(1, GRAIN_BYTES // SECTOR),
)
def test_any_disk_whatever_its_last_grain_reads_back_byte_for_byte(marks: dict[int, bytes], tail: int) -> None:
    capacity = 160 * GRAIN_BYTES + tail * SECTOR
    disk = bytearray(capacity)
    for index, mark in marks.items():
        room = min(len(mark), capacity - index * GRAIN_BYTES)
        disk[index * GRAIN_BYTES : index * GRAIN_BYTES + room] = mark[:room]
    writer = StreamWriter(capacity)
    chunk = 64 * GRAIN_BYTES
    stream = writer.begin() + b"".join(writer.write(at, disk[at : at + chunk]) for at in range(0, capacity, chunk))
    restored = bytearray(capacity)
    for offset, data in read(stream + writer.finish(), capacity).items():
        restored[offset : offset + len(data)] = data
    assert restored == disk


@pytest.mark.invariant("D57")
def test_zero_grains_are_neither_written_nor_read() -> None:
    assert len(stream_of([(0, bytes(32 * MIB))])) == len(stream_of([]))
    stream = with_first_grain(zlib.compress(bytes(GRAIN_BYTES)))
    assert 0 not in read(stream)
    assert 5 * GRAIN_BYTES in read(stream)


def test_a_writer_refuses_what_goes_back_or_beyond() -> None:
    writer = StreamWriter(CAPACITY)
    writer.begin()
    writer.write(GRAIN_BYTES, grain(1))
    for offset, data in [(GRAIN_BYTES, grain(1)), (0, grain(1)), (2 * GRAIN_BYTES + 1, b"x"), (40 * MIB, grain(1))]:
        with pytest.raises(ValueError, match="bytes at"):
            writer.write(offset, data)


def with_first_grain(packed: bytes, sector: int = 0) -> bytes:
    """The stream with another first grain; tables only count grains, so they stay right."""
    _, size = GRAIN_MARKER.unpack_from(STREAM, FIRST_GRAIN)
    rest = STREAM[FIRST_GRAIN + len(padded(bytes(GRAIN_MARKER.size + size))) :]
    shifted = STREAM[:FIRST_GRAIN] + padded(GRAIN_MARKER.pack(sector, len(packed)) + packed)
    moved = (len(shifted) + len(rest) - len(STREAM)) // SECTOR
    footer_at = len(rest) - 2 * SECTOR
    footer = Header.unpack(rest[footer_at : footer_at + SECTOR])
    return shifted + rest[:footer_at] + moved_footer(footer, moved) + rest[footer_at + SECTOR :]


def moved_footer(footer: Header, sectors: int) -> bytes:
    return Header(footer.capacity_sectors, 1, 1, footer.directory_offset + sectors, footer.overhead_sectors).pack()


@pytest.mark.invariant("D35")
@pytest.mark.parametrize(
    "kept", [0, 100, SECTOR, FIRST_GRAIN, FIRST_GRAIN + 700, len(STREAM) - SECTOR, len(STREAM) - 1]
)
def test_a_truncated_stream_is_damaged_wherever_it_ends(kept: int) -> None:
    with pytest.raises(DiskStreamDamaged, match="truncated"):
        read(STREAM[:kept])


@pytest.mark.invariant("D35")
def test_a_stream_cut_at_a_grain_and_filled_with_zeros_is_damaged() -> None:
    with pytest.raises(DiskStreamDamaged, match="without a footer"):
        read(STREAM[:FIRST_GRAIN] + bytes(10 * SECTOR))


@pytest.mark.invariant("D35")
def test_a_stream_without_footer_is_damaged() -> None:
    with pytest.raises(DiskStreamDamaged, match="without a footer"):
        read(STREAM[: -3 * SECTOR] + marker(0, END_OF_STREAM))


@pytest.mark.invariant("D35")
def test_a_lost_grain_is_noticed_by_its_table() -> None:
    _, size = GRAIN_MARKER.unpack_from(STREAM, FIRST_GRAIN)
    lost = len(padded(bytes(GRAIN_MARKER.size + size)))
    stream = STREAM[:FIRST_GRAIN] + STREAM[FIRST_GRAIN + lost :]
    footer = Header.unpack(stream[-2 * SECTOR : -SECTOR])
    stream = stream[: -2 * SECTOR] + moved_footer(footer, -lost // SECTOR) + stream[-SECTOR:]
    with pytest.raises(DiskStreamDamaged, match="3 grains came, its tables list 4"):
        read(stream)


@pytest.mark.invariant("D35")
@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"junk" + STREAM[4:], "no VMDK signature"),
        (stream_of([], capacity=80 * MIB), "is of a disk of 83886080 bytes"),
        (with_first_grain(zlib.compress(grain(1)), sector=1), "grain marker for sector 1"),
        (with_first_grain(zlib.compress(grain(1)), sector=128 * 100), "a grain marker for sector 640 after"),
        (with_first_grain(zlib.compress(grain(1)), sector=1 << 40), "beyond the capacity"),
        (with_first_grain(zlib.compress(grain(1))[:-6]), "inflates to|does not inflate"),
        (with_first_grain(zlib.compress(grain(1)) + b"x"), "inflates to"),
        (with_first_grain(zlib.compress(grain(1)[:-1])), "inflates to 65535"),
        (with_first_grain(zlib.compress(bytes(64 * MIB))), "inflates to 65537"),
        (with_first_grain(b"\xff" * 100), "does not inflate"),
        (with_first_grain(b"\xff" * 200_000), "200000 packed bytes"),
        (STREAM[:FIRST_GRAIN] + MARKER.pack(1, 0, 9).ljust(SECTOR, b"\0") + STREAM[FIRST_GRAIN:], "unknown type 9"),
        (STREAM[:FIRST_GRAIN] + marker(9, FOOTER) + STREAM[FIRST_GRAIN:], "footer of 9 sectors"),
        (STREAM + b"more" * 200, "something follows"),
        (STREAM + b"x", "something follows"),
        (STREAM + bytes(64 * MIB), "longer than this disk"),
    ],
)
def test_a_damaged_stream_fails_with_its_reason(stream: bytes, reason: str) -> None:
    with pytest.raises(DiskStreamDamaged, match=reason):
        read(stream)


@pytest.mark.invariant("D35")
def test_data_beyond_a_capacity_that_is_no_multiple_of_a_grain_is_damage() -> None:
    stream = stream_of([(40 * MIB, grain(7))], capacity=41 * MIB)
    small = Header(CAPACITY // SECTOR, 1, 1, 0xFFFF_FFFF_FFFF_FFFF, 128).pack()
    with pytest.raises(DiskStreamDamaged, match="beyond the capacity"):
        parser = StreamParser(CAPACITY)
        inflate(parser.feed(small + stream[SECTOR : 130 * SECTOR]), CAPACITY)


async def pieces_of(stream: bytes, cut: int) -> AsyncIterator[bytes]:
    for at in range(0, len(stream), cut):
        yield stream[at : at + cut]


async def test_blocks_come_in_order_while_batches_inflate_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backup_engine.adapters.vsphere.vmdk_reader.BATCH_BYTES", 100)
    blocks = [block async for block in read_blocks(pieces_of(STREAM, 600), StreamParser(CAPACITY))]
    assert blocks == BLOCKS


@pytest.mark.invariant("D35")
async def test_a_source_that_ends_early_fails_after_the_blocks_that_came() -> None:
    with pytest.raises(DiskStreamDamaged, match="truncated"):
        _ = [block async for block in read_blocks(pieces_of(STREAM[:-600], 600), StreamParser(CAPACITY))]
