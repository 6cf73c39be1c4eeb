"""A disk as an installer leaves it: a partition table and an ext4 file system with files, the same for the same seed.

The file system is made by mke2fs and filled by debugfs (both of e2fsprogs), which also says where file contents lie.
Not here: what the files hold (`content`).
"""

import binascii
import os
import re
import shutil
import struct
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from simulators.esxi.disks import content

PARTITION_START = 1 << 20
SECTOR = 512
BLOCK = 4096
SMALLEST_FILE_SYSTEM = 8 << 20
FAKE_TIME = "1700000000"
"""Time stamps inside the file system are fixed, or two images of one seed would differ."""
LINUX_GUID = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
_EXTENT = re.compile(r"^\s*(\d+)/\s*(\d+)\s+\d+/\s*\d+\s+\d+\s*-\s*\d+\s+(\d+)\s*-\s*(\d+)\s+\d+\s*$", re.MULTILINE)


class ToolMissingError(RuntimeError):
    """mke2fs or debugfs is not installed."""


@dataclass(frozen=True)
class ImageSpec:
    """What a disk shall hold. `used` 0 leaves it blank; `table` is `mbr` or `gpt`."""

    capacity: int
    used: int
    seed: int
    table: str = "mbr"


def make_image(path: Path, spec: ImageSpec) -> list[tuple[int, int]]:
    """Create the sparse image at `path`.

    Returns where file contents lie: (offset, length) in bytes of the disk, whole blocks, ascending.

    Raises:
        ToolMissingError: e2fsprogs is not there; the text says what to install.
        ValueError: more used than the disk can hold.
    """
    with path.open("wb") as disk:
        disk.truncate(spec.capacity)
        if spec.used == 0:
            return []
        if spec.capacity < SMALLEST_FILE_SYSTEM or spec.used > spec.capacity * 0.9:
            raise ValueError(f"{spec.used} bytes of files do not fit a disk of {spec.capacity} bytes")
        sectors = spec.capacity // SECTOR
        end = sectors - 34 if spec.table == "gpt" else sectors
        length = (end * SECTOR - PARTITION_START) // BLOCK * BLOCK
        _write_table(disk.fileno(), spec, length)
    _make_file_system(path, spec, length)
    return _fill(path, spec)


def _tool(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/sbin", "/usr/sbin"]))
    if found is None:
        raise ToolMissingError(f"{name} not found: install e2fsprogs (Debian: apt-get install e2fsprogs)")
    return found


def _environment() -> dict[str, str]:
    return {**os.environ, "E2FSPROGS_FAKE_TIME": FAKE_TIME, "LC_ALL": "C"}


def _seeded_uuid(seed: int, purpose: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{purpose} {seed}")


def _make_file_system(path: Path, spec: ImageSpec, length: int) -> None:
    identity = _seeded_uuid(spec.seed, "file system")
    options = f"offset={PARTITION_START},hash_seed={identity},root_owner=0:0,nodiscard,lazy_itable_init=1"
    command = [_tool("mke2fs"), "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-J", "size=4", "-L", "root"]
    command += ["-U", str(identity), "-E", options, path.name, f"{length // 1024}k"]
    subprocess.run(command, check=True, env=_environment(), capture_output=True, cwd=path.parent)


def _fill(path: Path, spec: ImageSpec) -> list[tuple[int, int]]:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fill-") as scratch:
        folder = Path(scratch)
        names: list[str] = []
        folders: set[str] = set()
        for file in content.files(spec.seed, int(spec.used * 0.985)):
            (folder / f"{len(names)}").write_bytes(file.data)
            names.append(file.path)
            parts = file.path.split("/")[:-1]
            folders.update("/".join(parts[: depth + 1]) for depth in range(len(parts)))
        lines = [f"mkdir /{name}" for name in sorted(folders)]
        lines += [f"write {number} /{name}" for number, name in enumerate(names)]
        lines += [f"ex -l /{name}" for name in names]
        script = folder / "script"
        script.write_text("\n".join(lines) + "\n")
        (folder / "disk").symlink_to(path.resolve())  # names of VMs may hold what debugfs takes for its own syntax
        done = subprocess.run(
            [_tool("debugfs"), "-w", "-f", script.name, f"disk?offset={PARTITION_START}"],
            check=True, env=_environment(), capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
    ranges = [
        (PARTITION_START + int(first) * BLOCK, (int(last) - int(first) + 1) * BLOCK)
        for level, depth, first, last in _EXTENT.findall(done.stdout)
        if level == depth  # inner nodes of an extent tree point to metadata, leaves to contents
    ]
    if len(ranges) < len(names):
        raise RuntimeError(f"debugfs did not write every file: {done.stderr[-400:]}")
    return sorted(ranges)


def _write_table(fd: int, spec: ImageSpec, length: int) -> None:
    first, count = PARTITION_START // SECTOR, length // SECTOR
    if spec.table == "mbr":
        os.pwrite(fd, _mbr(spec.seed & 0xFFFFFFFF, 0x83, first, count), 0)
        return
    sectors = spec.capacity // SECTOR
    os.pwrite(fd, _mbr(0, 0xEE, 1, min(sectors - 1, 0xFFFFFFFF)), 0)
    entries = _gpt_entries(spec.seed, first, first + count - 1)
    disk_id = _seeded_uuid(spec.seed, "disk")
    os.pwrite(fd, _gpt_header(disk_id, entries, own=1, other=sectors - 1, table=2, sectors=sectors), SECTOR)
    os.pwrite(fd, entries, 2 * SECTOR)
    os.pwrite(fd, entries, (sectors - 33) * SECTOR)
    backup = _gpt_header(disk_id, entries, own=sectors - 1, other=1, table=sectors - 33, sectors=sectors)
    os.pwrite(fd, backup, (sectors - 1) * SECTOR)


def _mbr(signature: int, kind: int, first: int, count: int) -> bytes:
    entry = struct.pack("<B3sB3sII", 0x80 if kind == 0x83 else 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", first, count)
    return b"\0" * 440 + struct.pack("<IH", signature, 0) + entry + b"\0" * 48 + b"\x55\xaa"


def _gpt_entries(seed: int, first: int, last: int) -> bytes:
    identity = _seeded_uuid(seed, "partition").bytes_le
    name = "root".encode("utf-16-le").ljust(72, b"\0")
    entry = LINUX_GUID.bytes_le + identity + struct.pack("<QQQ", first, last, 0) + name
    return entry.ljust(128 * 128, b"\0")


def _gpt_header(disk_id: uuid.UUID, entries: bytes, *, own: int, other: int, table: int, sectors: int) -> bytes:
    def packed(crc: int) -> bytes:
        head = struct.pack("<8sIIIIQQQQ", b"EFI PART", 0x10000, 92, crc, 0, own, other, 34, sectors - 34)
        return head + disk_id.bytes_le + struct.pack("<QIII", table, 128, 128, binascii.crc32(entries))

    return packed(binascii.crc32(packed(0))).ljust(SECTOR, b"\0")
