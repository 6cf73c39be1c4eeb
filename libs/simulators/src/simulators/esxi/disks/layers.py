"""The delta chain of one disk: a base and redo logs above it, each view of it bit-exact for as long as it exists.

A layer is frozen by the snapshot that was made on it; writes go to the newest layer. Removing a snapshot merges
the layer above into the frozen one without disturbing any other view. Not here: snapshot trees (`model.snapshots`).
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from simulators.esxi.disks.bitmap import BlockSet
from simulators.esxi.disks.changes import ChangeTracker
from simulators.esxi.disks.sparse import SparseFile

GRAIN_BYTES = 4096
"""Grain of a redo log (SEsparse has the same)."""
STEP_BYTES = 4 << 20
"""How much is copied or hashed while the chain is locked."""


class Layer:
    """One file of the chain: the base when it has no parent, else a redo log holding `grains`."""

    def __init__(self, name: str, file: SparseFile, parent: "Layer | None") -> None:
        self.name = name
        self.file = file
        self.parent = parent
        self.grains: BlockSet | None = None if parent is None else BlockSet(GRAIN_BYTES)
        self.touched: BlockSet | None = None
        self.capacity = file.capacity

    def chain(self) -> list["Layer"]:
        """From the base to this layer."""
        below = self.parent.chain() if self.parent else []
        return [*below, self]


class Disk:
    """A virtual disk of one VM. Every method may be called from any thread."""

    def __init__(self, key: int, name: str, folder: Path, capacity: int, *, uuid: str, thin: bool = True) -> None:
        self.key = key
        self.name = name
        self.folder = folder
        self.uuid = uuid
        self.thin = thin
        self.tracker = ChangeTracker()
        self.data_map: list[tuple[int, int]] = []
        """Where file contents lie (offset, length), as recorded when the image was made; empty when unknown."""
        self.lock = threading.RLock()
        self._next_delta = 1
        self.current = Layer(f"{name}.vmdk", SparseFile(folder / f"{name}-flat.vmdk", capacity), None)
        self.layers: list[Layer] = [self.current]

    @property
    def capacity(self) -> int:
        return self.current.capacity

    # -- reading and writing -------------------------------------------------------------------------------------

    def read(self, offset: int, length: int, layer: Layer | None = None) -> bytearray:
        """Bytes as the guest (or the snapshot that froze `layer`) sees them."""
        with self.lock:
            view = layer or self.current
            out = bytearray(length)
            target = memoryview(out)
            for part in view.chain():
                self._overlay(part, target, offset)
            return out

    @staticmethod
    def _overlay(part: Layer, target: memoryview, offset: int) -> None:
        if part.grains is None:
            inside = min(len(target), max(0, part.file.capacity - offset))
            part.file.pread_into(target[:inside], offset)
            return
        for start, count in part.grains.ranges(offset, len(target)):
            part.file.pread_into(target[start - offset : start - offset + count], start)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """A guest's write: noted by change tracking, stored in the newest layer.

        Raises:
            ValueError: outside the disk.
        """
        length = len(data)
        if offset < 0 or offset + length > self.capacity:
            raise ValueError("write outside the disk")
        with self.lock:
            self.tracker.mark(offset, length)
            layer = self.current
            if layer.grains is None:
                layer.file.pwrite(offset, data)
                return
            start = offset - offset % GRAIN_BYTES
            stop = min(self.capacity, -(-(offset + length) // GRAIN_BYTES) * GRAIN_BYTES)
            if (start, stop) != (offset, offset + length):
                whole = self.read(start, stop - start)
                whole[offset - start : offset - start + length] = data
                data = whole
            layer.file.pwrite(start, data)
            layer.grains.add(start, stop - start)
            if layer.touched is not None:
                layer.touched.add(start, stop - start)

    def allocated(self, layer: Layer | None = None, *, offset: int = 0, length: int | None = None) -> BlockSet:
        """Grains that hold data in a view (zeros among them are possible, misses are not)."""
        with self.lock:
            view = layer or self.current
            length = view.capacity - offset if length is None else length
            found = BlockSet(GRAIN_BYTES)
            for part in view.chain():
                if part.grains is None:
                    inside = min(length, max(0, part.file.capacity - offset))
                    ranges: Iterator[tuple[int, int]] = part.file.data_ranges(offset, inside)
                else:
                    ranges = part.grains.ranges(offset, length)
                for start, count in ranges:
                    found.add(start, count)
            return found

    def sha256(self, layer: Layer | None = None) -> str:
        """Digest of a view. Of the running disk only meaningful while nobody writes."""
        view = layer or self.current
        digest, zeros = hashlib.sha256(), bytes(STEP_BYTES)
        used = self.allocated(view)
        for at in range(0, view.capacity, STEP_BYTES):
            count = min(STEP_BYTES, view.capacity - at)
            empty = next(used.ranges(at, count), None) is None
            digest.update(memoryview(zeros)[:count] if empty else self.read(at, count, view))
        return digest.hexdigest()

    # -- the chain ------------------------------------------------------------------------------------------------

    def freeze(self) -> Layer:
        """A snapshot: the newest layer is frozen and returned, a redo log takes the writes from here on."""
        with self.lock:
            frozen = self.current
            self.current = self._new_delta(frozen)
            return frozen

    def revert(self, frozen: Layer) -> None:
        """Continue from a frozen layer; what was written since is discarded."""
        with self.lock:
            discarded, self.current = self.current, self._new_delta(frozen)
            self._drop(discarded)
            self.tracker.restart()

    def _new_delta(self, parent: Layer) -> Layer:
        stem = f"{self.name}-{self._next_delta:06d}"
        self._next_delta += 1
        file = SparseFile(self.folder / f"{stem}-sesparse.vmdk", parent.capacity)
        layer = Layer(f"{stem}.vmdk", file, parent)
        self.layers.append(layer)
        return layer

    def _drop(self, layer: Layer) -> None:
        self.layers.remove(layer)
        layer.file.delete()

    def children(self, layer: Layer) -> list[Layer]:
        return [other for other in self.layers if other.parent is layer]

    def release(self, frozen: Layer, *, moved: Callable[[Layer, Layer], None], throttle: Callable[[int], None]) -> bool:
        """The snapshot that froze this layer is gone: merge the layer above into it, or drop it.

        `moved(old, new)` is called, under the lock, when views of `old` become views of `new`; `throttle(bytes)`
        after each step. Returns False when two branches still need the layer (then it simply stays).
        """
        above = self.children(frozen)
        if len(above) > 1:
            return False
        if not above:
            with self.lock:
                self._drop(frozen)
            return True
        upper = above[0]
        upper.touched = BlockSet(GRAIN_BYTES)
        assert upper.grains is not None, "only a base has no grains, and a base has no parent"
        for start, count in list(upper.grains.ranges(0, upper.capacity)):
            self._copy_down(upper, frozen, start, count, throttle)
        with self.lock:
            for start, count in upper.touched.ranges(0, upper.capacity):
                self._copy_down(upper, frozen, start, count, lambda _: None)
            self._replace(upper, frozen)
            moved(upper, frozen)
        return True

    def _copy_down(self, upper: Layer, lower: Layer, start: int, count: int, throttle: Callable[[int], None]) -> None:
        for at in range(start, start + count, STEP_BYTES):
            size = min(STEP_BYTES, start + count - at)
            with self.lock:
                if lower.file.capacity < upper.capacity:
                    lower.file.resize(upper.capacity)
                lower.file.pwrite(at, upper.file.pread(at, size))
                if lower.grains is not None:
                    lower.grains.add(at, size)
            throttle(size)

    def _replace(self, upper: Layer, lower: Layer) -> None:
        lower.capacity = upper.capacity
        if lower.file.capacity < upper.capacity:
            lower.file.resize(upper.capacity)
        for child in self.children(upper):
            child.parent = lower
        if self.current is upper:
            self.current = lower
        self._drop(upper)

    # -- the disk as a whole --------------------------------------------------------------------------------------

    def extend(self, capacity: int) -> None:
        """Grow the disk (only without snapshots, as vSphere demands)."""
        with self.lock:
            self.current.file.resize(capacity)
            self.current.capacity = capacity

    def allocated_bytes(self) -> int:
        return sum(layer.file.allocated_bytes() for layer in self.layers)

    def close(self) -> None:
        for layer in self.layers:
            layer.file.close()

    def delete(self) -> None:
        for layer in self.layers:
            layer.file.delete()
        self.layers = []
