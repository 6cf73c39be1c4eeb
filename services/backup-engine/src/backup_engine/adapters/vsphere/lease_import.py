"""Making a VM and writing its disks by an import lease: stream-optimised VMDKs made on the fly."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from backup_engine.adapters.vsphere import power
from backup_engine.adapters.vsphere.configuration import network_backings, specification
from backup_engine.adapters.vsphere.http_data import HttpData
from backup_engine.adapters.vsphere.inventory import read_machine
from backup_engine.adapters.vsphere.lease import Lease, device_of_slot
from backup_engine.adapters.vsphere.session import Session, read_all
from backup_engine.adapters.vsphere.vmdk_writer import StreamWriter
from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.domain.machine_configuration import MachineConfiguration
from backup_engine.errors.hypervisor import HostUnreachable, HypervisorError, LeaseFailed, PlacementNotFound
from backup_engine.ports.hypervisor import Buffer, ImportRequest
from backup_engine.ports.hypervisor_values import VirtualMachine

STREAM_TYPE = "application/x-vnd.vmware-streamVmdk"

_log = logging.getLogger(__name__)


async def open_import(session: Session, http: HttpData, request: ImportRequest) -> "MachineImport":
    """Make the VM with blank disks and a lease to fill them.

    Raises:
        PlacementNotFound: datastore or network does not exist there; a mapping is asked for (D60).
        HypervisorError: what the host refuses; nothing stays behind.
    """
    datastore, pool, folder = await _placement(session, request)
    networks = await _networks(session, request)
    spec = vim.vm.VmImportSpec(configSpec=specification(request, datastore, networks))
    managed = await session.call(
        "ImportVApp", lambda: pool.ImportVApp(spec=spec, folder=folder, host=None), seconds=300, changes=True
    )
    lease = Lease(session, moid_of(managed))
    await lease.open()
    return MachineImport(session, http, lease, request.configuration)


class MachineImport:
    """`ports.ImportLease` made real."""

    def __init__(self, session: Session, http: HttpData, lease: Lease, configuration: MachineConfiguration) -> None:
        self._session = session
        self._http = http
        self._lease = lease
        self._configuration = configuration
        self._moid = moid_of(lease.info.entity)
        self._total = sum(disk.capacity_bytes for disk in configuration.disks) or 1
        self._written = 0
        self._done = False

    @property
    def disk_keys(self) -> tuple[int, ...]:
        """By the stored configuration."""
        return tuple(disk.key for disk in self._configuration.disks)

    async def write_disk(self, disk_key: int, blocks: AsyncIterator[tuple[int, Buffer]]) -> int:
        """See the port. Raises LeaseFailed, HostUnreachable, LeaseDiskUnidentified, and what `blocks` raises."""
        disk = self._configuration.disk(disk_key)
        controller = self._configuration.controller(disk.controller_key)
        device = device_of_slot(self._lease.info.deviceUrl or (), controller.type, controller.bus, disk.unit)
        pinned, target = await self._lease.target_of(device)
        upload = _Upload(StreamWriter(disk.capacity_bytes), blocks, self._report)
        headers = {"Cookie": self._session.cookie, "Content-Type": STREAM_TYPE, "Overwrite": "t"}
        try:
            async with self._http.request("POST", pinned, target, headers=headers, body=upload.stream()) as answer:
                if answer.status not in (200, 201):
                    raise LeaseFailed(reason=f"the host answered a disk with HTTP {answer.status}")
        except HostUnreachable as failure:
            if upload.failure is not None:
                raise upload.failure from failure
            raise await self._lease.explain(failure) from failure
        # A host may answer before the last byte; a disk that was not sent whole is not written.
        if not upload.complete:
            raise upload.failure or LeaseFailed(reason="the host answered before the disk was sent")
        self._written += disk.capacity_bytes
        return upload.sent_bytes

    async def complete(self) -> str:
        """See the port. A VM whose disks do not stand where the source's stood is destroyed. Raises LeaseFailed."""
        self._lease.check()
        await self._lease.complete()
        machine = await read_machine(self._session, self._moid)
        misplaced = _misplaced(machine, self._configuration)
        if misplaced:
            raise LeaseFailed(reason=f"the host made {misplaced} differently")
        self._done = True
        return self._moid

    async def close(self) -> None:
        """See the port; what cannot be cleaned up now is logged and found later by its mark."""
        if self._done:
            return
        self._done = True
        await self._lease.close()
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await power.destroy(self._session, self._moid)
            except HypervisorError as error:
                _log.warning("half a VM stays registered", extra={"moid": self._moid, "reason": error.code})

    def _report(self, offset: int) -> None:
        self._session.fence()
        self._lease.check()
        self._lease.report((self._written + offset) / self._total)


class _Upload:
    """The body of one POST, packed in threads as the connection takes it."""

    def __init__(self, writer: StreamWriter, blocks: AsyncIterator[tuple[int, Buffer]], report: Any) -> None:
        self._writer = writer
        self._blocks = blocks
        self._report = report
        self.sent_bytes = 0
        self.complete = False
        self.failure: BaseException | None = None

    async def stream(self) -> AsyncIterator[bytes]:
        """Header, grains, end. A failing source ends the transfer without its end mark and is kept as `failure`."""
        try:
            yield self._counted(self._writer.begin())
            async for offset, data in self._blocks:
                self._report(offset)
                packed = await asyncio.to_thread(self._writer.write, offset, data)
                if packed:
                    yield self._counted(packed)
            yield self._counted(self._writer.finish())
            self.complete = True
        except Exception as failure:
            self.failure = failure
            raise

    def _counted(self, data: bytes) -> bytes:
        self.sent_bytes += len(data)
        return data


def _misplaced(machine: VirtualMachine, configuration: MachineConfiguration) -> str:
    """Labels of disks that are not what was asked for, by place, size and, where the source had one, UUID (D56)."""
    made = {(d.address.controller_type, d.address.bus, d.address.unit): d for d in machine.disks}
    wrong = []
    for disk in configuration.disks:
        controller = configuration.controller(disk.controller_key)
        found = made.get((controller.type, controller.bus, disk.unit))
        if found is None or found.capacity_bytes != disk.capacity_bytes or found.mode != disk.mode:
            wrong.append(disk.label)
    return ", ".join(wrong)


async def _placement(session: Session, request: ImportRequest) -> tuple[str, Any, Any]:
    """Datastore name, resource pool and folder: those of the compute resource that sees the datastore."""
    wanted = request.datastore or next((d.datastore for d in request.configuration.disks if d.datastore), None)
    found = await read_all(
        session,
        {
            vim.Datastore: ("name",),
            vim.ComputeResource: ("resourcePool", "datastore", "parent"),
            vim.Datacenter: ("vmFolder", "datastore"),
        },
    )
    stores = {moid: entry["name"] for moid, entry in found[vim.Datastore].items()}
    moid = next((moid for moid, name in stores.items() if wanted in (moid, name)), None)
    if moid is None:
        raise PlacementNotFound(what="datastore", name=wanted or "?")
    # A cluster is a compute resource of its own class.
    computes = [e for kind, objects in found.items() if issubclass(kind, vim.ComputeResource) for e in objects.values()]
    pool = _seeing(computes, moid, "resourcePool")
    folder = _seeing(list(found[vim.Datacenter].values()), moid, "vmFolder")
    if pool is None or folder is None:
        raise PlacementNotFound(what="resource pool", name=f"for datastore {stores[moid]}")
    return stores[moid], pool, folder


def _seeing(entries: list[dict[str, Any]], datastore: str, path: str) -> Any:
    for entry in entries:
        if path in entry and any(moid_of(store) == datastore for store in entry.get("datastore") or ()):
            return entry[path]
    return None


async def _networks(session: Session, request: ImportRequest) -> dict[str, Any]:
    """Source name → backing on the target. Raises PlacementNotFound."""
    there = await network_backings(session)
    backings: dict[str, Any] = {}
    for name in {card.network for card in request.configuration.cards if card.network}:
        wanted = request.networks.get(name, name)
        if wanted not in there:
            raise PlacementNotFound(what="network", name=wanted)
        backings[name] = there[wanted]
    return backings
