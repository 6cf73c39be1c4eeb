"""Disks hold a real partition table and a real ext4 file system, the same for a seed, and the guest keeps it so."""

import binascii
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from simulators.esxi import VmSpec, parse_size
from simulators.esxi.disks import image
from simulators.esxi.disks.image import ImageSpec, ToolMissingError, make_image
from simulators.esxi.disks.streamvmdk import BadStreamError, StreamReader, StreamWriter, pack_grain

MIB = 1 << 20
FSCK = shutil.which("e2fsck", path="/sbin:/usr/sbin:/usr/bin:/bin") or "e2fsck"


def check_file_system(disk: bytes, folder: Path) -> str:
    partition = folder / "partition.raw"
    partition.write_bytes(disk[MIB:])
    done = subprocess.run([FSCK, "-fn", str(partition)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_same_seed_makes_the_same_disk(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        make_image(tmp_path / name, ImageSpec(64 * MIB, 8 * MIB, seed))
    one, same, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert one == same
    assert one != other


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_the_file_system_is_whole_and_holds_many_files(tmp_path: Path, table: str) -> None:
    ranges = make_image(tmp_path / "disk", ImageSpec(64 * MIB, 8 * MIB, 1, table))
    disk = (tmp_path / "disk").read_bytes()
    report = check_file_system(disk, tmp_path)
    assert int(report.rsplit(": ", 1)[1].split("/")[0]) > 40
    assert disk[510:512] == b"\x55\xaa"
    assert 7 * MIB < sum(length for _, length in ranges) <= 8.2 * MIB
    assert (tmp_path / "disk").stat().st_blocks * 512 < 13 * MIB
    if table == "gpt":
        for at in (512, len(disk) - 512):
            head = bytearray(disk[at : at + 92])
            stored, head[16:20] = struct.unpack_from("<I", head, 16)[0], bytes(4)
            assert head[:8] == b"EFI PART"
            assert binascii.crc32(head) == stored


def test_contents_are_a_mix_of_text_and_noise(tmp_path: Path) -> None:
    ranges = make_image(tmp_path / "disk", ImageSpec(64 * MIB, 8 * MIB, 1))
    disk = (tmp_path / "disk").read_bytes()
    text = sum(length for at, length in ranges if b"the" in disk[at : at + 4096])
    assert 0.3 < text / sum(length for _, length in ranges) < 0.9


def test_more_than_fits_and_missing_tools_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        make_image(tmp_path / "full", ImageSpec(16 * MIB, 16 * MIB, 1))
    monkeypatch.setattr(image.shutil, "which", lambda *_args, **_more: None)
    with pytest.raises(ToolMissingError, match="install e2fsprogs"):
        make_image(tmp_path / "none", ImageSpec(64 * MIB, 8 * MIB, 1))


def test_the_guest_writes_what_was_asked_and_the_file_system_stays_valid(lab: Any, tmp_path: Path) -> None:
    vm = lab.add("guest:64m:8m")
    before = lab.image(vm)
    used = lab.control.get("/_sim/vms").json()["results"][-1]["disks"][0]["used_bytes"]
    written = lab.write(vm, 0.25, seed=4)
    after = lab.image(vm)
    assert 0.2 < written / used < 0.3
    changed = sum(1 for at in range(0, len(before), 4096) if before[at : at + 4096] != after[at : at + 4096])
    assert changed * 4096 == written
    check_file_system(after, tmp_path)


def test_the_guest_writes_everything_when_asked(lab: Any) -> None:
    vm = lab.add("all of it:32m:2m")
    used = next(item for item in lab.control.get("/_sim/vms").json()["results"] if item["name"] == "all of it")
    assert lab.write(vm, 1.0) == used["disks"][0]["used_bytes"]


def test_control_answers_what_is_wrong(lab: Any) -> None:
    vm = lab.vm("web")._moId
    assert lab.control.get("/_sim/vms/999/disks/2000/sha256").status_code == 404
    assert lab.control.get(f"/_sim/vms/{vm}/disks/2999/sha256").status_code == 404
    assert lab.control.post(f"/_sim/vms/{vm}/write", json={"fraction": 2, "seed": 1}).status_code == 422
    assert lab.control.post(f"/_sim/vms/{vm}/write", json={}).status_code == 422
    assert lab.control.post(f"/_sim/vms/{vm}/power", json={"state": "sideways"}).status_code == 422


def test_specifications_are_read_from_text() -> None:
    spec = VmSpec.parse("web:2g:400m:1g:0:gpt:off")
    assert [(disk.size, disk.used, disk.table) for disk in spec.disks] == [
        (2 << 30, 400 * MIB, "gpt"),
        (1 << 30, 0, "gpt"),
    ]
    assert not spec.running
    assert parse_size("1.5 TiB") == 3 << 39
    for bad in ("web", "web:2g", ":2g:1g", "web:2x:1g"):
        with pytest.raises(ValueError, match="is name:size:used|not a size"):
            VmSpec.parse(bad)


def test_a_stream_may_come_in_pieces_of_any_size() -> None:
    writer = StreamWriter(100 * MIB, "disk-0.vmdk", 1)
    data = [writer.start()]
    for number in (0, 5, 511, 512, 1599):
        data += writer.grain(number, pack_grain(number * 128, bytes([number % 251 + 1]) * 65536))
    stream = b"".join([*data, *writer.finish()])
    for size in (1, 511, 4096, len(stream)):
        reader = StreamReader()
        step = max(size, 97)
        grains = [grain for at in range(0, len(stream), step) for grain in reader.feed(stream[at : at + step])]
        reader.close()
        assert [grain.offset // 65536 for grain in grains] == [0, 5, 511, 512, 1599]
    with pytest.raises(BadStreamError):
        StreamReader().close()


def test_the_program_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulators.esxi", "--help"], capture_output=True, text=True, check=True
    )
    for option in ("--host", "--port", "--control-port", "--username", "--password", "--folder", "--vm", "--announce"):
        assert option in done.stdout
