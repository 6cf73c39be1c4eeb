"""Making and changing a VM's devices from a configuration specification.

Not here: power and snapshots (`operations`).
"""

import random
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from simulators.esxi.disks.layers import Disk
from simulators.esxi.model.host import NETWORK, EsxHost
from simulators.esxi.model.vm import POWERED_ON, Controller, DiskDevice, Nic, Vm
from simulators.esxi.vmodl import fault, vim

LARGEST_DISK = 62 << 40
device: Any = vim.vm.device
SPEC: Any = device.VirtualDeviceSpec


def datastore_of(host: EsxHost, spec: Any) -> str:
    """The datastore that `files.vmPathName` of a specification names.

    Raises:
        vim.fault.InvalidDatastorePath: none, or one that is not there.
    """
    text = spec.files.vmPathName if spec.files is not None else ""
    name = text[1:].partition("]")[0] if text and text.startswith("[") else host.spec.datastores[0]
    if name not in host.spec.datastores:
        raise fault(vim.fault.InvalidDatastorePath, f"Invalid datastore path '{text}'.", datastorePath=text)
    return name


def create(host: EsxHost, spec: Any) -> Vm:
    """A new VM with its (blank) disks, not yet registered.

    Raises:
        vim.fault.DuplicateName, vim.fault.InvalidDeviceSpec and what `reconfigure` raises; nothing stays behind.
    """
    if not spec.name:
        raise fault(vim.fault.InvalidName, "The name is empty.", name="")
    vm = host.new_vm(spec.name, datastore_of(host, spec))
    vm.uuid, vm.instance_uuid = spec.uuid or vm.uuid, spec.instanceUuid or vm.instance_uuid
    vm.guest_id, vm.version = spec.guestId or vm.guest_id, spec.version or vm.version
    vm.firmware, vm.tools = spec.firmware or vm.firmware, True
    try:
        reconfigure(host, vm, spec)
    except BaseException:
        host.discard(vm)
        raise
    return vm


def reconfigure(host: EsxHost, vm: Vm, spec: Any) -> None:
    """Apply a VirtualMachineConfigSpec."""
    if spec.name and spec.name != vm.name:
        if any(other.name == spec.name for other in host.vms.values()):
            raise fault(
                vim.fault.DuplicateName,
                f"The name '{spec.name}' already exists.",
                name=spec.name,
                object=vim.VirtualMachine(vm.moid),
            )
        vm.name = spec.name
    for number, change in enumerate(spec.deviceChange or []):
        _change_device(vm, change, number)
    if spec.changeTrackingEnabled is not None:
        vm.cbt = bool(spec.changeTrackingEnabled)
        for item in vm.disks:
            item.disk.tracker.request(enabled=vm.cbt)
    vm.annotation = vm.annotation if spec.annotation is None else spec.annotation
    vm.memory_mb, vm.cpus = spec.memoryMB or vm.memory_mb, spec.numCPUs or vm.cpus
    for option in spec.extraConfig or []:
        if option.value in ("", None):
            vm.extra_config.pop(option.key, None)
        else:
            vm.extra_config[option.key] = str(option.value)
    vm.changed_at = datetime.now(UTC)
    host.changed()


def _invalid(text: str, number: int) -> Any:
    return fault(vim.fault.InvalidDeviceSpec, text, deviceIndex=number, property=f"deviceChange[{number}]")


def _change_device(vm: Vm, change: Any, number: int) -> None:
    item = change.device
    if isinstance(item, device.VirtualDisk):
        {"add": _add_disk, "remove": _remove_disk, "edit": _edit_disk}[change.operation](vm, change, number)
    elif isinstance(item, device.VirtualController):
        if change.operation == "add":
            _add_controller(vm, item)
        elif change.operation == "remove":
            if any(disk.controller_key == item.key for disk in vm.disks):
                raise _invalid("The controller still has disks", number)
            vm.controllers = [known for known in vm.controllers if known.key != item.key]
    elif isinstance(item, device.VirtualEthernetCard):
        _change_nic(vm, change)


def _add_controller(vm: Vm, item: Any) -> None:
    kind = type(item).__name__.rpartition(".")[2]
    if kind in ("VirtualIDEController", "VirtualPCIController"):
        return  # every VM has these
    start = 1000 if "SCSI" in kind or "Logic" in kind else 15000 if "AHCI" in kind else 31000
    key = item.key if item.key is not None and item.key > 0 else start + (item.busNumber or 0)
    if vm.controller(key) is None:
        vm.controllers.append(Controller(key, item.busNumber or 0, kind))
    if item.key is not None and item.key < 0:
        vm.temporary_keys[item.key] = key


def _add_disk(vm: Vm, change: Any, number: int) -> None:
    item = change.device
    wanted = vm.temporary_keys.get(item.controllerKey, item.controllerKey)
    controller = vm.controller(wanted) if wanted is not None else None
    if controller is None:
        raise _invalid(f"There is no controller {item.controllerKey}", number)
    taken = {other.unit for other in vm.disks if other.controller_key == controller.key}
    unit = vm.free_unit(controller) if item.unitNumber is None or item.unitNumber < 0 else item.unitNumber
    if unit in taken or (controller.is_scsi and unit == 7):
        raise _invalid(f"Unit {unit} is taken", number)
    key = item.key if item.key is not None and item.key > 0 else vm.fresh_disk_key(controller, unit)
    if vm.disk(key) is not None:
        raise _invalid(f"Key {key} is taken", number)
    disk = _reattached(vm, item) if change.fileOperation is None else _blank(vm, item, key, number)
    disk.tracker.request(enabled=vm.cbt)
    if vm.power == POWERED_ON:
        disk.tracker.stun()
    mode = getattr(item.backing, "diskMode", None) or "persistent"
    vm.disks.append(DiskDevice(key, controller.key, unit, f"Hard disk {len(vm.disks) + 1}", disk, mode))


def _blank(vm: Vm, item: Any, key: int, number: int) -> Disk:
    capacity = item.capacityInBytes or (item.capacityInKB or 0) * 1024
    if not 0 < capacity <= LARGEST_DISK or capacity % 512:
        raise _invalid(f"A disk cannot have {capacity} bytes", number)
    backing = item.backing
    identity = getattr(backing, "uuid", None) or str(uuid.uuid4())
    thin = bool(getattr(backing, "thinProvisioned", True))
    return Disk(key, vm.fresh_disk_name(), vm.folder, capacity, uuid=identity, thin=thin)


def _reattached(vm: Vm, item: Any) -> Disk:
    """A disk of this VM whose device was removed while its files stayed."""
    name = (item.backing.fileName or "").rpartition("/")[2]
    found = next((disk for disk in vm.detached if disk.current.name == name), None)
    if found is None:
        raise fault(
            vim.fault.FileNotFound, f"File {item.backing.fileName} was not found", file=item.backing.fileName or ""
        )
    vm.detached.remove(found)
    found.tracker.restart()
    return found


def _existing(vm: Vm, change: Any, number: int) -> DiskDevice:
    found = vm.disk(change.device.key)
    if found is None:
        raise _invalid(f"There is no disk {change.device.key}", number)
    return found


def _remove_disk(vm: Vm, change: Any, number: int) -> None:
    found = _existing(vm, change, number)
    if change.fileOperation == "destroy":
        if any(found.key in snapshot.disks for snapshot in vm.snapshots()):
            raise _invalid("The disk is part of a snapshot", number)
        vm.disks.remove(found)
        found.disk.delete()
        return
    vm.disks.remove(found)
    vm.detached.append(found.disk)


def _edit_disk(vm: Vm, change: Any, number: int) -> None:
    found, item = _existing(vm, change, number), change.device
    capacity = item.capacityInBytes or (item.capacityInKB or 0) * 1024 or found.disk.capacity
    if capacity < found.disk.capacity:
        raise _invalid("A disk cannot shrink", number)
    if capacity > found.disk.capacity:
        if len(found.disk.layers) > 1:
            raise _invalid("A disk with snapshots cannot be extended", number)
        found.disk.extend(capacity)
    if item.backing is not None and getattr(item.backing, "diskMode", None):
        found.mode = item.backing.diskMode
    if item.unitNumber is not None and item.unitNumber >= 0:
        found.unit = item.unitNumber


def _change_nic(vm: Vm, change: Any) -> None:
    item = change.device
    if change.operation == "remove":
        vm.nics = [nic for nic in vm.nics if nic.key != item.key]
        return
    network = getattr(item.backing, "deviceName", None) or NETWORK
    if change.operation == "edit":
        for nic in vm.nics:
            if nic.key == item.key:
                nic.network, nic.mac = network, item.macAddress or nic.mac
        return
    key = item.key if item.key is not None and item.key > 0 else 4000 + len(vm.nics)
    tail = ":".join(f"{random.randrange(256):02x}" for _ in range(3))
    mac = (
        item.macAddress
        if item.macAddress and re.fullmatch(r"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}", item.macAddress)
        else f"00:0c:29:{tail}"
    )
    vm.nics.append(Nic(key, mac, network, type(item).__name__.rpartition(".")[2]))
