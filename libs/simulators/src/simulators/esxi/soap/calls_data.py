"""Calls of the data plane: changed disk areas, export and import leases."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Any

from simulators.esxi.disks.bitmap import BlockSet
from simulators.esxi.disks.changes import TRACKING_BLOCK_BYTES, UnknownChangeIdError
from simulators.esxi.disks.layers import Disk, Layer
from simulators.esxi.model import devices, operations
from simulators.esxi.model.leases import DONE, EXPORT, IMPORT, READY, Lease, LeaseDevice
from simulators.esxi.model.vm import POWERED_OFF, FrozenDisk, Snapshot, Vm
from simulators.esxi.soap import objects, properties
from simulators.esxi.soap.calls import Call, call
from simulators.esxi.vmodl import fault, vim, vmodl

PAGE_EXTENTS = 2000
"""One answer names no more changed areas than this; callers go on from where it ends."""
LEASE_SETUP_SECONDS = 0.05
_CHANGE_ID = re.compile(r"[0-9a-fA-F -]{32,64}/\d+")


# -- changed disk areas -----------------------------------------------------------------------------------------------


@call("QueryChangedDiskAreas")
def query_changed_disk_areas(c: Call) -> Any:
    vm: Vm = c.state
    frozen = _frozen(c, vm)
    disk, capacity = frozen.device.disk, frozen.capacity
    start, change_id = c.args["startOffset"], c.args["changeId"]
    if not 0 <= start < capacity:
        raise fault(
            vmodl.fault.InvalidArgument,
            "A specified parameter was not correct: startOffset",
            invalidProperty="startOffset",
        )
    page = c.host.faults.take(c.name, "page_size")
    limit = int(page.detail["extents"]) if page else PAGE_EXTENTS
    areas = list(_areas(c, vm, disk, frozen, start, change_id))
    end = capacity
    if len(areas) > limit:
        areas = areas[:limit]
        end = areas[-1][0] + areas[-1][1]
    if c.host.faults.take(c.name, "miss_changes") is not None:
        areas = areas[::2]
    extent = vim.VirtualMachine.DiskChangeInfo.DiskChangeExtent
    return vim.VirtualMachine.DiskChangeInfo(
        startOffset=start, length=end - start,
        changedArea=[extent(start=at, length=length) for at, length in areas],
    )  # fmt: skip


def _frozen(c: Call, vm: Vm) -> FrozenDisk:
    key = c.args["deviceKey"]
    if c.args.get("snapshot") is not None:
        snapshot: Snapshot = objects.demand(c.host, c.args["snapshot"])
        found = snapshot.disks.get(key)
        if found is None or vm.snapshot(snapshot.moid) is not snapshot:
            raise fault(
                vmodl.fault.InvalidArgument,
                "A specified parameter was not correct: deviceKey",
                invalidProperty="deviceKey",
            )
        return found
    device = vm.disk(key)
    if device is None:
        raise fault(
            vmodl.fault.InvalidArgument, "A specified parameter was not correct: deviceKey", invalidProperty="deviceKey"
        )
    if vm.running:
        raise _file_fault(device.disk, "The disk of a running virtual machine can be queried only at a snapshot")
    return FrozenDisk(device, device.disk.current, device.disk.tracker.change_id, device.disk.capacity)


def _file_fault(disk: Disk, text: str) -> Any:
    return fault(
        vim.fault.FileFault,
        f"Error caused by file {disk.folder.name}/{disk.name}.vmdk: {text}",
        file=f"{disk.name}.vmdk",
    )


def _areas(c: Call, vm: Vm, disk: Disk, frozen: FrozenDisk, start: int, change_id: str) -> Iterator[tuple[int, int]]:
    capacity = frozen.capacity
    if not vm.cbt:
        raise _file_fault(disk, "Change tracking is not enabled")
    if change_id == "*":
        whole = c.host.faults.take(c.name, "whole_disk") is not None
        if whole or not disk.thin or not disk.tracker.active:
            return iter([(start, capacity - start)])
        return _blocks(disk.allocated(frozen.layer), start, capacity)
    if not _CHANGE_ID.fullmatch(change_id):
        raise fault(
            vmodl.fault.InvalidArgument, "A specified parameter was not correct: changeId", invalidProperty="changeId"
        )
    if not disk.tracker.active:
        return iter(())  # asked between the setting and the stun: «nothing changed», as the real host says
    try:
        return _blocks(disk.tracker.changed_between(change_id, frozen.change_id), start, capacity)
    except UnknownChangeIdError:
        raise _file_fault(disk, f"The change id {change_id} is not known") from None


def _blocks(found: BlockSet, start: int, capacity: int) -> Iterator[tuple[int, int]]:
    """Areas of whole tracking blocks from `start` on, joined, cut at the capacity."""
    rounded = BlockSet(TRACKING_BLOCK_BYTES)
    for at, length in found.ranges(0, capacity):
        rounded.add(at, length)
    return rounded.ranges(start, capacity - start)


# -- leases -----------------------------------------------------------------------------------------------------------


def _lease_devices(vm: Vm, views: Sequence[tuple[Any, Layer | None, int]]) -> list[LeaseDevice]:
    out = []
    for number, (item, layer, capacity) in enumerate(views):
        controller = vm.controller(item.controller_key)
        assert controller is not None, "a disk is always plugged into a controller"
        out.append(LeaseDevice(f"disk-{number}.vmdk", item, controller, layer, capacity))
    return out


def _grant(c: Call, lease: Lease) -> Any:
    c.host.leases[lease.moid] = lease

    async def open_later(_: Any) -> None:
        await asyncio.sleep(LEASE_SETUP_SECONDS)
        lease.open()

    c.host.tasks.start("HttpNfcLease.setup", vim.HttpNfcLease(lease.moid), c.session.user or "", open_later)
    c.host.changed()
    return vim.HttpNfcLease(lease.moid)


@call("ExportSnapshot", writes=True)
def export_snapshot(c: Call) -> Any:
    snapshot: Snapshot = c.state
    vm = properties.owner(c.host, snapshot)
    views = [(item.device, item.layer, item.capacity) for item in snapshot.disks.values()]
    return _grant(c, Lease(EXPORT, vm, _lease_devices(vm, views), c.host.spec.lease_timeout, snapshot))


@call("ExportVm", writes=True)
def export_vm(c: Call) -> Any:
    vm: Vm = c.state
    operations.demand_power(vm, POWERED_OFF, POWERED_OFF)
    operations.demand_no_lease(c.host, vm)
    if vm.busy is not None:
        raise operations.in_progress("Another task is already in progress.", vm)
    views = [(item, item.disk.current, item.disk.capacity) for item in vm.disks]
    return _grant(c, Lease(EXPORT, vm, _lease_devices(vm, views), c.host.spec.lease_timeout))


@call("ImportVApp", writes=True)
def import_vapp(c: Call) -> Any:
    spec = c.args["spec"]
    if not isinstance(spec, vim.vm.VmImportSpec):
        raise fault(vmodl.fault.NotSupported, "Only virtual machines can be imported by a host.")
    vm = devices.create(c.host, spec.configSpec)
    c.host.register(vm)
    views = [(item, None, item.disk.capacity) for item in vm.disks]
    return _grant(c, Lease(IMPORT, vm, _lease_devices(vm, views), c.host.spec.lease_timeout))


def _demand_ready(lease: Lease) -> None:
    if lease.state != READY:
        raise fault(vim.fault.InvalidState, f"The lease is not ready: {lease.state}")


@call("HttpNfcLeaseProgress")
def lease_progress(c: Call) -> None:
    lease: Lease = c.state
    if lease.state == "error":
        raise lease.error
    _demand_ready(lease)
    lease.touch(c.args["percent"])
    c.host.changed()


@call("HttpNfcLeaseComplete")
def lease_complete(c: Call) -> None:
    lease: Lease = c.state
    _demand_ready(lease)
    if lease.kind == IMPORT and not all(item.complete for item in lease.devices):
        lease.fail(fault(vim.fault.InvalidState, "Not every disk was uploaded."))
        c.host.discard(lease.vm)
        raise lease.error
    lease.stage = DONE
    c.host.changed()


@call("HttpNfcLeaseAbort")
def lease_abort(c: Call) -> None:
    lease: Lease = c.state
    if not lease.active and lease.stage == DONE:
        raise fault(vim.fault.InvalidState, "The lease is complete")
    reason = c.args.get("fault") or fault(vmodl.fault.RequestCanceled, "The task was canceled by a user.")
    lease.fail(reason)
    if lease.kind == IMPORT and lease.vm.moid in c.host.vms:
        c.host.discard(lease.vm)
    c.host.changed()


@call("HttpNfcLeaseGetManifest")
def lease_manifest(c: Call) -> list[Any]:
    lease: Lease = c.state
    _demand_ready(lease)
    return [
        vim.HttpNfcLease.ManifestEntry(
            key=f"/{lease.vm.moid}/{item.slot}", sha1="", size=item.streamed, disk=True, capacity=item.capacity
        )
        for item in lease.devices
    ]
