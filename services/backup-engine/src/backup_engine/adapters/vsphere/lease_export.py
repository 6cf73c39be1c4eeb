"""Reading a snapshot's disks by an export lease: stream-optimised VMDKs, sequential, from start to end."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from backup_engine.adapters.vsphere.http_data import HttpData
from backup_engine.adapters.vsphere.lease import Lease, device_of_slot, opened
from backup_engine.adapters.vsphere.session import Session
from backup_engine.adapters.vsphere.vmdk_reader import StreamParser, read_blocks
from backup_engine.adapters.vsphere.vmodl import vim
from backup_engine.errors.hypervisor import DiskStreamDamaged, HostUnreachable, LeaseFailed
from backup_engine.ports.hypervisor_values import Disk


async def open_export(session: Session, http: HttpData, snapshot: str, disks: Sequence[Disk]) -> "SnapshotExport":
    """A fresh lease on a snapshot. Raises HypervisorBusy, LeaseFailed, SnapshotNotFound."""
    managed = session.managed(vim.vm.Snapshot, snapshot)
    lease = await session.call("ExportSnapshot", managed.ExportSnapshot, changes=True)
    return SnapshotExport(await opened(session, lease), session, http, disks)


class SnapshotExport:
    """`ports.ExportLease` made real."""

    def __init__(self, lease: Lease, session: Session, http: HttpData, disks: Sequence[Disk]) -> None:
        self._lease = lease
        self._session = session
        self._http = http
        self._disks = {disk.key: disk for disk in disks}

    @property
    def disk_keys(self) -> tuple[int, ...]:
        """Disks that were asked for."""
        return tuple(self._disks)

    def open_disk(self, disk_key: int) -> "DiskStream":
        """A stream of one disk from its start. Raises LeaseDiskUnidentified."""
        return DiskStream(self._lease, self._session, self._http, self._disks[disk_key])

    def report_progress(self, fraction: float) -> None:
        """For the next keep-alive."""
        self._lease.report(fraction)

    async def complete(self) -> None:
        """End it well."""
        await self._lease.complete()

    async def close(self) -> None:
        """Abort unless completed."""
        await self._lease.close()


class DiskStream:
    """`ports.BlockStream` made real: one GET of a lease URL."""

    def __init__(self, lease: Lease, session: Session, http: HttpData, disk: Disk) -> None:
        self._lease = lease
        self._session = session
        self._http = http
        place = disk.address
        devices = lease.info.deviceUrl or ()
        self._device = device_of_slot(devices, place.controller_type, place.bus, place.unit)
        self._parser = StreamParser(disk.capacity_bytes)

    @property
    def capacity_bytes(self) -> int:
        """Of the disk; the stream must agree."""
        return self._parser.capacity_bytes

    @property
    def wire_bytes(self) -> int:
        """Received so far, packed."""
        return self._parser.received

    async def blocks(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """See the port. Raises DiskStreamDamaged, LeaseFailed, HostUnreachable, CertificateChanged."""
        pinned, target = await self._lease.target_of(self._device)
        try:
            async with self._http.request("GET", pinned, target, headers={"Cookie": self._session.cookie}) as answer:
                if answer.status != 200:
                    raise LeaseFailed(reason=f"its URL answers HTTP {answer.status}")
                async with aclosing(read_blocks(self._http.pieces(answer, pinned.host), self._parser)) as blocks:
                    async for offset, data in blocks:
                        self._lease.check()
                        self._lease.report(offset / self.capacity_bytes)
                        yield offset, data
        except (HostUnreachable, DiskStreamDamaged) as failure:
            raise await self._lease.explain(failure) from failure
        self._lease.report(1.0)
