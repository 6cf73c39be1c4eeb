"""The guest's own writes: scattered over the contents of existing files, so that the file system stays valid."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulators.esxi.disks.content import ContentSource
from simulators.esxi.disks.layers import Disk
from simulators.esxi.model.vm import Vm

BLOCK = 4096
LONGEST_RUN = 16
TICK_SECONDS = 0.05
WINDOW_BYTES = 64 << 20


@dataclass(frozen=True)
class Written:
    """What a burst of writes did."""

    bytes_written: int
    extents: int


def _ranges(disk: Disk, *, files: bool) -> list[tuple[int, int]]:
    """Where the guest may write. Without a record of file contents (or when not asked to spare the file system): any
    allocated block, or the whole of a blank disk.
    """
    if files and disk.data_map:
        return disk.data_map
    return list(disk.allocated().ranges(0, disk.capacity)) or [(0, disk.capacity)]


def _runs(ranges: list[tuple[int, int]], fraction: float, chance: random.Random) -> list[tuple[int, int]]:
    """Distinct runs of blocks (offset, length) that make up the fraction of the ranges."""
    starts = np.cumsum([0] + [length // BLOCK for _, length in ranges])
    total = int(starts[-1])
    wanted, taken = max(1, round(total * fraction)), np.zeros(total, dtype=np.bool_)
    runs: list[tuple[int, int]] = []
    while wanted > 0 and total:
        at = chance.randrange(total)
        index = int(np.searchsorted(starts, at, side="right")) - 1
        count = min(chance.randint(1, LONGEST_RUN), wanted, int(starts[index + 1]) - at)
        while count and taken[at : at + count].any():
            count -= 1
        if count == 0:
            if wanted < total * 0.02 or fraction > 0.5:  # nearly full: take what is left in order
                left = np.flatnonzero(~taken)[:wanted].tolist()
                runs += [(_position(ranges, starts, block), BLOCK) for block in left]
                break
            continue
        taken[at : at + count] = True
        wanted -= count
        runs.append((_position(ranges, starts, at), count * BLOCK))
    return runs


def _position(ranges: list[tuple[int, int]], starts: np.ndarray, block: int) -> int:
    index = int(np.searchsorted(starts, block, side="right")) - 1
    return ranges[index][0] + (block - int(starts[index])) * BLOCK


def write_fraction(disk: Disk, fraction: float, seed: int, *, files: bool = True) -> Written:
    """Overwrite this fraction of the used blocks with new content. The same seed writes the same on the same disk."""
    chance, source = random.Random(f"{seed} {disk.key}"), ContentSource(seed ^ 0x5EED)
    runs = _runs(_ranges(disk, files=files), fraction, chance)
    for offset, length in runs:
        disk.write(offset, source.mixed(length))
    return Written(sum(length for _, length in runs), len(runs))


class BackgroundGuest:
    """Writes for every VM that has a write rate, until stopped."""

    def __init__(self, vms: Callable[[], list[Vm]]) -> None:
        self._vms = vms
        self._source = ContentSource(int(time.time()))
        self._chance = random.Random()
        self._owed: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="guest writes")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            busy = [vm for vm in self._vms() if vm.running and vm.write_rate and vm.disks]
            for vm in busy:
                owed = self._owed.get(vm.moid, 0.0) + (vm.write_rate or 0) * (now - last) * (1 << 20)
                self._owed[vm.moid] = await asyncio.to_thread(self._write, vm, min(owed, WINDOW_BYTES))
            last = now

    def _write(self, vm: Vm, owed: float) -> float:
        while owed >= BLOCK and vm.running:
            disk = self._chance.choice(vm.disks).disk
            ranges = disk.data_map or [(0, disk.capacity // BLOCK * BLOCK)]
            start, length = self._chance.choice(ranges)
            blocks = length // BLOCK
            at = self._chance.randrange(blocks)
            count = min(blocks - at, self._chance.randint(1, LONGEST_RUN), max(1, int(owed // BLOCK)))
            disk.write(start + at * BLOCK, self._source.mixed(count * BLOCK))
            owed -= count * BLOCK
        return owed
