"""What can be done to a VM: power, snapshots, consolidation. Each is a plain or async function that raises vim faults.

Not here: reconfiguration (`model.devices`), streams (`http.nfc`).
"""

import asyncio
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from simulators.esxi.disks.layers import Disk, Layer
from simulators.esxi.model.host import EsxHost
from simulators.esxi.model.vm import POWERED_OFF, POWERED_ON, SUSPENDED, FrozenDisk, Snapshot, Vm
from simulators.esxi.vmodl import fault, vim, vmodl

DEEPEST_CHAIN = 32
NAME_LIMIT = 80
_numbers = itertools.count(1)


def demand_power(vm: Vm, requested: str, *allowed: str) -> None:
    """Raises InvalidPowerState unless the VM is in an allowed state."""
    if vm.power not in allowed:
        raise fault(
            vim.fault.InvalidPowerState,
            "The attempted operation cannot be performed in the current state "
            f"({ {POWERED_ON: 'Powered on', POWERED_OFF: 'Powered off', SUSPENDED: 'Suspended'}[vm.power] }).",
            requestedState=requested, existingState=vm.power,
        )  # fmt: skip


def demand_no_lease(host: EsxHost, vm: Vm) -> None:
    """Raises TaskInProgress while an export or import of the VM is under way."""
    if host.leases_of(vm):
        raise in_progress("An export or import of this virtual machine is in progress.", vm)


def in_progress(text: str, vm: Vm) -> Any:
    task = vim.Task(vm.busy.moid if vm.busy is not None else f"haTask-{vm.moid}-lease")
    return fault(vim.fault.TaskInProgress, text, task=task)


def _stun(vm: Vm) -> None:
    for device in vm.disks:
        device.disk.tracker.stun()


def power_on(host: EsxHost, vm: Vm) -> None:
    demand_power(vm, POWERED_ON, POWERED_OFF, SUSPENDED)
    demand_no_lease(host, vm)
    if vm.template:
        raise fault(vmodl.fault.NotSupported, "A template cannot be powered on.")
    vm.power, vm.boot_time = POWERED_ON, datetime.now(UTC)
    _stun(vm)
    host.changed()


def power_off(host: EsxHost, vm: Vm, *, state: str = POWERED_OFF) -> None:
    demand_power(vm, state, POWERED_ON, *([SUSPENDED] if state == POWERED_OFF else []))
    vm.power, vm.boot_time, vm.write_rate = state, None, None
    host.changed()


# -- snapshots --------------------------------------------------------------------------------------------------------


def demand_snapshot_possible(vm: Vm, name: str) -> None:
    """Raises what CreateSnapshot_Task raises at once, before there is a task."""
    if not name or len(name) > NAME_LIMIT:
        raise fault(vim.fault.InvalidName, "The name is empty or too long.", name=name)
    if vm.template:
        raise fault(vmodl.fault.NotSupported, "The operation is not supported on a template.")
    depth, node = 0, vm.current_snapshot
    while node is not None:
        depth, node = depth + 1, node.parent
    if depth >= DEEPEST_CHAIN:
        raise fault(vim.fault.SnapshotFault, "Detected too many levels of snapshots.")


def create_snapshot(
    host: EsxHost, vm: Vm, name: str, description: str, *, quiesce: bool, stun: bool = True
) -> Snapshot:
    """Freeze every disk. Unless `stun` is refused by a rule, this makes a requested CBT effective on a running VM."""
    disks = {}
    for device in vm.disks:
        if device.mode.startswith("independent"):
            continue
        disk = device.disk
        with disk.lock:
            if stun and vm.running:
                disk.tracker.stun()
            change_id = disk.tracker.checkpoint() if stun else disk.tracker.change_id
            disks[device.key] = FrozenDisk(device, disk.freeze(), change_id, disk.capacity)
    vm.snapshot_numbers += 1
    snapshot = Snapshot(
        f"{vm.moid}-snapshot-{next(_numbers)}", vm.snapshot_numbers, name, description,
        quiesce and vm.running and vm.tools, vm.power, disks, vm.current_snapshot,
    )  # fmt: skip
    (snapshot.parent.children if snapshot.parent else vm.roots).append(snapshot)
    vm.current_snapshot = snapshot
    (vm.folder / f"{vm.directory}-Snapshot{snapshot.number}.vmsn").write_bytes(b"\xd2\xbe\xd2\xbe".ljust(1024, b"\0"))
    host.records.note(vm, snapshot)
    host.changed()
    return snapshot


def demand_not_exported(host: EsxHost, vm: Vm, snapshots: list[Snapshot]) -> None:
    """Raises TaskInProgress when one of the snapshots is being exported."""
    if any(lease.snapshot in snapshots for lease in host.leases_of(vm)):
        raise in_progress("The snapshot is being exported.", vm)


async def remove_snapshots(host: EsxHost, vm: Vm, doomed: list[Snapshot], *, call: str) -> None:
    """Take the snapshots out of the tree and merge their layers, deepest first; views that stay are not disturbed."""
    keep = host.faults.take(call, "keep_files", in_task=True) or host.faults.take(call, "keep_files")
    rate = host.faults.take(call, "rate")
    throttle = _throttle(host, float(rate.detail["bytes_per_second"]) if rate else None)
    for snapshot in reversed(doomed):
        await host.records.seal(snapshot)
        _unlink(vm, snapshot)
        host.changed()
        if keep is not None:
            vm.consolidation_needed = True
            continue
        for frozen in snapshot.disks.values():
            await asyncio.to_thread(_release, vm, frozen.device.disk, frozen.layer, throttle)
    if vm.running:
        _stun(vm)
    host.changed()


def _throttle(host: EsxHost, bytes_per_second: float | None) -> Callable[[int], None]:
    def pause(size: int) -> None:
        if host.stopping:
            raise fault(vmodl.fault.SystemError, "The host is shutting down.", reason="shutdown")
        if bytes_per_second:
            time.sleep(size / bytes_per_second)

    return pause


def _unlink(vm: Vm, snapshot: Snapshot) -> None:
    siblings = snapshot.parent.children if snapshot.parent else vm.roots
    at = siblings.index(snapshot)
    siblings[at : at + 1] = snapshot.children
    for child in snapshot.children:
        child.parent = snapshot.parent
    if vm.current_snapshot is snapshot:
        vm.current_snapshot = snapshot.parent
    (vm.folder / f"{vm.directory}-Snapshot{snapshot.number}.vmsn").unlink(missing_ok=True)


def _release(vm: Vm, disk: Disk, layer: Layer, throttle: Callable[[int], None]) -> bool:
    def moved(old: Layer, new: Layer) -> None:
        for snapshot in vm.snapshots():
            for frozen in snapshot.disks.values():
                if frozen.layer is old:
                    frozen.layer = new

    return disk.release(layer, moved=moved, throttle=throttle)


async def consolidate(host: EsxHost, vm: Vm) -> None:
    """Merge every layer that no snapshot needs any more."""
    throttle = _throttle(host, None)
    for disk in vm.all_disks():
        while (layer := _superfluous(vm, disk)) is not None:
            if not await asyncio.to_thread(_release, vm, disk, layer, throttle):
                break
    vm.consolidation_needed = False
    host.changed()


def _superfluous(vm: Vm, disk: Disk) -> Layer | None:
    needed = [frozen.layer for snapshot in vm.snapshots() for frozen in snapshot.disks.values()]
    idle = [layer for layer in disk.layers if layer is not disk.current and layer not in needed]
    return next((layer for layer in idle if len(disk.children(layer)) <= 1), None)


async def revert(host: EsxHost, vm: Vm, snapshot: Snapshot) -> None:
    """Back to the snapshot: its disks, powered off (no memory is kept), change tracking with a new identity."""
    vm.write_rate = None
    vm.power, vm.boot_time = POWERED_OFF, None
    kept = [frozen.device for frozen in snapshot.disks.values()]
    vm.detached += [device.disk for device in vm.disks if device not in kept]
    vm.disks = kept
    for frozen in snapshot.disks.values():
        await asyncio.to_thread(frozen.device.disk.revert, frozen.layer)
    vm.current_snapshot = snapshot
    host.changed()


def destroy(host: EsxHost, vm: Vm) -> None:
    """Delete the VM and its files."""
    demand_power(vm, POWERED_OFF, POWERED_OFF, SUSPENDED)
    demand_no_lease(host, vm)
    host.records.drop(vm)
    host.discard(vm)
