"""vSphere's device objects as our disks and addresses."""

from collections.abc import Sequence
from typing import Any

from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.ports.hypervisor_values import Disk, DiskAddress

_device: Any = vim.vm.device
_RAW = (_device.VirtualDisk.RawDiskMappingVer1BackingInfo, _device.VirtualDisk.RawDiskVer2BackingInfo)


def type_name(device: Any) -> str:
    """The class as the API documents it: `ParaVirtualSCSIController`."""
    return str(type(device)._wsdlName)  # noqa: SLF001 - pyvmomi has no other way


def of_type(devices: Sequence[Any], kind: Any) -> list[Any]:
    """Those devices that are of a kind."""
    return [device for device in devices if isinstance(device, kind)]


def label_of(device: Any) -> str:
    """What people see: `Hard disk 1`."""
    info = getattr(device, "deviceInfo", None)
    return str(info.label) if info is not None else f"{type_name(device)} {device.key}"


def disks_of(devices: Sequence[Any]) -> tuple[Disk, ...]:
    """All virtual disks among the devices of a VM or of a snapshot."""
    controllers = {controller.key: controller for controller in of_type(devices, _device.VirtualController)}
    return tuple(
        _disk(device, controllers.get(device.controllerKey)) for device in of_type(devices, _device.VirtualDisk)
    )


def _disk(device: Any, controller: Any) -> Disk:
    backing = device.backing
    parent = getattr(backing, "parent", None)
    store = getattr(backing, "datastore", None)
    raw = isinstance(backing, _RAW)
    return Disk(
        key=device.key,
        label=label_of(device),
        capacity_bytes=device.capacityInBytes or device.capacityInKB * 1024,
        uuid=getattr(backing, "uuid", None) or None,
        address=DiskAddress(
            controller_key=device.controllerKey or 0,
            controller_type=type_name(controller) if controller is not None else "",
            bus=controller.busNumber if controller is not None else 0,
            unit=device.unitNumber or 0,
        ),
        file=getattr(backing, "fileName", None) or "",
        datastore_moid=moid_of(store) if store is not None else None,
        parent_file=parent.fileName if parent is not None else None,
        thin=bool(getattr(backing, "thinProvisioned", False)),
        mode=getattr(backing, "diskMode", None) or "persistent",
        is_rdm=raw,
        # A delta on VMFS is reported as flat as well; only without a parent is the file the disk's whole content.
        is_flat=isinstance(backing, _device.VirtualDisk.FlatVer2BackingInfo) and parent is None,
        encrypted=getattr(backing, "keyId", None) is not None,
        change_id=getattr(backing, "changeId", None) or None,
    )
