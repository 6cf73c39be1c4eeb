"""Transport `lease`: a snapshot's disk as one compressed stream, from any host, running or not.

It reads the whole disk each time; what is unchanged is found by its chunks. A stream that breaks is taken up by a fresh
lease where it stopped: a snapshot does not change, and each stream is proven whole by itself.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from common.crash_points import reach

from backup_engine.errors.hypervisor import DiskStreamDamaged, HypervisorError
from backup_engine.ports.hypervisor import Capabilities, ExportLease, Hypervisor
from backup_engine.ports.hypervisor_values import Disk

NAME = "lease"
CAPABILITIES = Capabilities(
    sequential_read=True,
    running_vm=True,
    foreign_snapshots=True,
    any_backing=True,
    sequential_write=True,
)
ATTEMPTS = 3
RETRY_SECONDS = 2.0
"""Pause before a fresh lease; doubled each time. A host that ended one for lack of resources needs a moment."""


class LeaseSource:
    """`ports.DiskSource`: one disk of a snapshot, each over a lease of its own, so that disks can run in parallel."""

    def __init__(
        self, hypervisor: Hypervisor, snapshot: str, disk: Disk, *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._hypervisor = hypervisor
        self._snapshot = snapshot
        self._disk = disk
        self._retry_seconds = retry_seconds
        self._earlier_bytes = 0
        self._current_bytes = 0
        self._reached = 0
        self._whole = False
        self._lease: ExportLease | None = None

    @property
    def transport(self) -> str:
        """For the record."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return CAPABILITIES

    @property
    def capacity_bytes(self) -> int:
        """Of the disk."""
        return self._disk.capacity_bytes

    @property
    def wire_bytes(self) -> int:
        """Received over all leases."""
        return self._earlier_bytes + self._current_bytes

    async def pread(self, offset: int, length: int) -> bytes:
        """Not offered: the stream knows no ranges."""
        raise TypeError(f"a lease reads no range ({length} bytes at {offset})")

    async def stream(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """See the port. Raises the last lease's failure when no fresh one helps."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(self._one_lease()) as blocks:
                    async for offset, data in blocks:
                        if offset >= self._reached:
                            self._reached = offset + len(data)
                            yield offset, data
            except HypervisorError as failure:
                if attempt == ATTEMPTS or not failure.retryable:
                    raise
                await asyncio.sleep(self._retry_seconds * 2 ** (attempt - 1))
            else:
                self._whole = True
                return

    async def finish(self) -> None:
        """The stream proved itself; here only that it was read to its end. Raises DiskStreamDamaged."""
        if not self._whole:
            raise DiskStreamDamaged(position=self.wire_bytes, reason="it was not read to its end")

    async def close(self) -> None:
        """End the lease of a stream that its reader left without closing it."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.close()

    async def _one_lease(self) -> AsyncGenerator[tuple[int, bytes], None]:
        self._earlier_bytes += self._current_bytes
        self._current_bytes = 0
        lease = self._lease = await self._hypervisor.open_export(self._snapshot, [self._disk])
        try:
            reach("backup-engine.disk.leased")
            stream = lease.open_disk(self._disk.key)
            async with aclosing(stream.blocks()) as blocks:
                async for block in blocks:
                    self._current_bytes = stream.wire_bytes
                    yield block
            self._current_bytes = stream.wire_bytes
            await lease.complete()
        finally:
            await lease.close()
