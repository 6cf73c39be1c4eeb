"""A backup's memory is bounded, however large the disks and however slow the store."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from backup_engine.ports.vault import Blob, Buffer, PutOutcome
from backup_engine.testing.memory_vault import MemoryStore, TestVault, disk_plan

pytestmark = pytest.mark.integration
MIB = 1 << 20
DISKS = 4
DISK_BYTES = 192 * MIB


MEASURE = """
import asyncio, importlib.util, pathlib, re, sys

def peak_kib():  # Not ru_maxrss, which a child takes over from the process that started it.
    return re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]

spec = importlib.util.spec_from_file_location("measured", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
before = peak_kib()
asyncio.run(module.write_disks())
print(before, peak_kib())
"""


class SlowSink(MemoryStore):
    """A store that keeps nothing and takes its time, so that everything waits for it."""

    async def put_batch(self, blobs: Sequence[Blob]) -> list[PutOutcome]:
        await asyncio.sleep(0.3)
        return [PutOutcome.CREATED for _ in blobs]


class RandomDisk:
    """Incompressible bytes, different at each offset."""

    def __init__(self) -> None:
        self._salt = os.urandom(8)
        self._pattern = os.urandom(4 * MIB)

    async def pread(self, offset: int, length: int) -> Buffer:
        return (self._salt + offset.to_bytes(8, "big") + self._pattern)[:length]


async def write_disks() -> None:
    vault = TestVault.create(SlowSink())
    async with vault.writer() as writer, asyncio.TaskGroup() as tasks:
        for key in range(DISKS):
            plan = disk_plan(RandomDisk(), DISK_BYTES, key=key, chunk_size=4 * MIB, concurrent_reads=8)
            tasks.create_task(writer.write_disk(plan))


def test_four_disks_into_a_slow_store_stay_well_below_512_mib() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE, __file__], check=True, capture_output=True, text=True)
    before, peak = (int(number) // 1024 for number in done.stdout.split())
    assert before < peak < 450, (before, peak)
    assert peak - before > 100, "the store did not hold the pipeline up, so nothing was measured"
