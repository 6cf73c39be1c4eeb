"""A sparse file of any capacity, with the ranges that hold data.

Not here: what is in it (`image`), who overlays whom (`layers`).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SEGMENT_BYTES = 8 << 40
"""ext4 ends a file at 16 TiB, a virtual disk ends at 62 TiB: larger disks continue in further files."""

ZERO_PROBE = 64 << 10


def is_zero(data: bytes | bytearray | memoryview) -> bool:
    """Whether all bytes are 0, at memory speed."""
    return not np.frombuffer(data, dtype=np.uint8).any()


class SparseFile:
    """Random access to `capacity` bytes; what was never written reads as zeros and takes no space."""

    def __init__(self, path: Path, capacity: int) -> None:
        self.path = path
        self.capacity = 0
        self._fds: list[int] = []
        self.resize(capacity)

    def resize(self, capacity: int) -> None:
        """Grow (or cut) to `capacity` bytes."""
        count = max(1, -(-capacity // SEGMENT_BYTES))
        while len(self._fds) > count:
            os.close(self._fds.pop())
            self._segment_path(len(self._fds)).unlink()
        while len(self._fds) < count:
            self._fds.append(os.open(self._segment_path(len(self._fds)), os.O_RDWR | os.O_CREAT, 0o600))
        for number, fd in enumerate(self._fds):
            os.ftruncate(fd, min(SEGMENT_BYTES, capacity - number * SEGMENT_BYTES))
        self.capacity = capacity

    def _segment_path(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")

    def pread(self, offset: int, length: int) -> bytearray:
        """Exactly `length` bytes; the caller stays within the capacity."""
        out = bytearray(length)
        self.pread_into(memoryview(out), offset)
        return out

    def pread_into(self, target: memoryview, offset: int) -> None:
        done = 0
        while done < len(target):
            number, inner = divmod(offset + done, SEGMENT_BYTES)
            room = target[done : done + SEGMENT_BYTES - inner]
            count = os.preadv(self._fds[number], [room], inner)
            if count == 0:
                raise EOFError(f"read at {offset + done} beyond {self.capacity} of {self.path.name}")
            done += count

    def pwrite(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        done = 0
        while done < len(view):
            number, inner = divmod(offset + done, SEGMENT_BYTES)
            done += os.pwrite(self._fds[number], view[done : done + SEGMENT_BYTES - inner], inner)

    def data_ranges(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """(offset, length) of what the file system holds as data inside the asked range, ascending."""
        at, end = offset, offset + length
        while at < end:
            number, inner = divmod(at, SEGMENT_BYTES)
            base, stop = number * SEGMENT_BYTES, min(end, (number + 1) * SEGMENT_BYTES)
            try:
                start = base + os.lseek(self._fds[number], inner, os.SEEK_DATA)
            except OSError:  # ENXIO: no data after this position
                at = stop
                continue
            if start >= stop:
                at = stop
                continue
            finish = min(stop, base + os.lseek(self._fds[number], start - base, os.SEEK_HOLE))
            yield start, finish - start
            at = finish

    def allocated_bytes(self) -> int:
        """What it takes on our own disk."""
        return sum(os.fstat(fd).st_blocks * 512 for fd in self._fds)

    def close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def delete(self) -> None:
        count = len(self._fds)
        self.close()
        for number in range(count):
            self._segment_path(number).unlink(missing_ok=True)

    def rename(self, path: Path) -> None:
        """Move to another name; open handles stay valid."""
        for number in range(len(self._fds)):
            source = self._segment_path(number)
            source.rename(path if number == 0 else path.with_name(f"{path.name}.{number}"))
        self.path = path
