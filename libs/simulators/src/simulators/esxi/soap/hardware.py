"""A VM's devices and files as vim data objects: the VM now, or as a snapshot froze it."""

import zlib
from typing import Any

from simulators.esxi.disks.layers import Layer
from simulators.esxi.model.vm import Controller, DiskDevice, FrozenDisk, Nic, Snapshot, Vm
from simulators.esxi.vmodl import vim

device: Any = vim.vm.device


def controller_object(vm: Vm, controller: Controller) -> Any:
    kind = getattr(device, controller.kind)
    units = [disk.key for disk in vm.disks if disk.controller_key == controller.key]
    out = kind(
        key=controller.key, busNumber=controller.bus, controllerKey=100, unitNumber=3 + controller.bus, device=units
    )
    prefix = "SCSI" if controller.is_scsi else controller.kind.removeprefix("Virtual").removesuffix("Controller")
    out.deviceInfo = vim.Description(label=f"{prefix} controller {controller.bus}", summary=controller.kind)
    if controller.is_scsi:
        out.sharedBus, out.scsiCtlrUnitNumber, out.hotAddRemove = "noSharing", 7, True
    return out


def _datastore(vm: Vm) -> Any:
    return vim.Datastore(vm.datastore)


def path(vm: Vm, name: str) -> str:
    return f"[{vm.datastore}] {vm.directory}/{name}"


def backing_object(vm: Vm, item: DiskDevice, layer: Layer, change_id: str | None) -> Any:
    """The chain below `layer`, newest first."""
    out = None
    for part in layer.chain():
        kind = device.VirtualDisk.FlatVer2BackingInfo
        below, out = out, kind(fileName=path(vm, part.name), datastore=_datastore(vm), diskMode=item.mode)
        out.uuid, out.contentId = item.disk.uuid, f"{zlib.crc32(part.name.encode()) & 0xFFFFFFFE:08x}"
        out.thinProvisioned, out.split, out.writeThrough = item.disk.thin, False, False
        if part.parent is not None:
            out.deltaDiskFormat = "seSparseFormat"
        out.parent = below
    assert out is not None
    out.changeId = change_id
    return out


def disk_object(vm: Vm, item: DiskDevice, frozen: FrozenDisk | None = None) -> Any:
    layer = frozen.layer if frozen else item.disk.current
    capacity = frozen.capacity if frozen else item.disk.capacity
    change_id = frozen.change_id if frozen else item.disk.tracker.change_id
    return device.VirtualDisk(
        key=item.key, controllerKey=item.controller_key, unitNumber=item.unit,
        capacityInKB=capacity // 1024, capacityInBytes=capacity,
        backing=backing_object(vm, item, layer, change_id),
        deviceInfo=vim.Description(label=item.label, summary=f"{capacity // 1024:,} KB"),
        diskObjectId=f"{vm.moid}-{item.key}", nativeUnmanagedLinkedClone=False,
    )  # fmt: skip


def nic_object(nic: Nic, *, connected: bool) -> Any:
    kind = getattr(device, nic.kind)
    return kind(
        key=nic.key, controllerKey=100, unitNumber=7 + nic.key - 4000, macAddress=nic.mac, addressType="generated",
        wakeOnLanEnabled=True,
        deviceInfo=vim.Description(label=f"Network adapter {nic.key - 3999}", summary=nic.network),
        backing=device.VirtualEthernetCard.NetworkBackingInfo(
            deviceName=nic.network, network=vim.Network(f"HaNetwork-{nic.network}"), useAutoDetect=False
        ),
        connectable=device.VirtualDevice.ConnectInfo(
            startConnected=True, allowGuestControl=True, connected=connected, status="ok" if connected else "untried"
        ),
    )  # fmt: skip


def hardware_object(vm: Vm, snapshot: Snapshot | None = None) -> Any:
    disks = (
        [disk_object(vm, item) for item in vm.disks]
        if snapshot is None
        else [disk_object(vm, frozen.device, frozen) for frozen in snapshot.disks.values()]
    )
    fixed = [
        device.VirtualIDEController(key=200, busNumber=0, deviceInfo=vim.Description(label="IDE 0", summary="IDE 0")),
        device.VirtualPCIController(
            key=100, busNumber=0, deviceInfo=vim.Description(label="PCI controller 0", summary="")
        ),
    ]
    devices = [*fixed, *(controller_object(vm, controller) for controller in vm.controllers)]
    devices += [*disks, *(nic_object(nic, connected=vm.running) for nic in vm.nics)]
    return vim.vm.VirtualHardware(numCPU=vm.cpus, numCoresPerSocket=1, memoryMB=vm.memory_mb, device=devices)


def config_object(vm: Vm, snapshot: Snapshot | None = None) -> Any:
    extra = dict(vm.extra_config)
    if vm.cbt:
        extra["ctkEnabled"] = "true"
    return vim.vm.ConfigInfo(
        changeVersion=vm.changed_at.isoformat(), modified=vm.changed_at, name=vm.name,
        guestFullName="Debian GNU/Linux 12 (64-bit)",
        version=vm.version, uuid=vm.uuid, instanceUuid=vm.instance_uuid, template=vm.template, guestId=vm.guest_id,
        alternateGuestName="", annotation=vm.annotation, firmware=vm.firmware, changeTrackingEnabled=vm.cbt,
        files=vim.vm.FileInfo(
            vmPathName=vm.vmx, snapshotDirectory=path(vm, ""), suspendDirectory=path(vm, ""), logDirectory=path(vm, "")
        ),
        tools=vim.vm.ToolsConfigInfo(toolsVersion=12352 if vm.tools else 0),
        flags=vim.vm.FlagInfo(diskUuidEnabled=False, snapshotDisabled=False),
        hardware=hardware_object(vm, snapshot),
        defaultPowerOps=vim.vm.DefaultPowerOpInfo(powerOffType="soft", suspendType="hard", resetType="soft"),
        extraConfig=[vim.option.OptionValue(key=key, value=value) for key, value in extra.items()],
        bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=False),
        memoryHotAddEnabled=False, cpuHotAddEnabled=False,
    )  # fmt: skip


def layout_object(vm: Vm) -> Any:
    """layoutEx: every file, and for each disk and snapshot its chain of descriptor and extent."""
    files: list[Any] = []
    keys: dict[str, int] = {}

    def key(name: str, kind: str, size: int) -> int:
        if name not in keys:
            keys[name] = len(files)
            entry = vim.vm.FileLayoutEx.FileInfo(key=len(files), name=path(vm, name), type=kind, size=size)
            entry.uniqueSize, entry.accessible = size, True
            files.append(entry)
        return keys[name]

    def chain(layer: Layer) -> list[Any]:
        parts = []
        for part in layer.chain():
            pair = [
                key(part.name, "diskDescriptor", 600),
                key(part.file.path.name, "diskExtent", part.file.allocated_bytes()),
            ]
            parts.append(vim.vm.FileLayoutEx.DiskUnit(fileKey=pair))
        return parts

    key(f"{vm.directory}.vmx", "config", 4096)
    key(f"{vm.directory}.nvram", "nvram", 8684)
    layout = vim.vm.FileLayoutEx.DiskLayout
    disks = [layout(key=item.key, chain=chain(item.disk.current)) for item in vm.disks]
    snapshots = []
    for snapshot in vm.snapshots():
        frozen = [layout(key=number, chain=chain(item.layer)) for number, item in snapshot.disks.items()]
        data = key(f"{vm.directory}-Snapshot{snapshot.number}.vmsn", "snapshotData", 1024)
        snapshots.append(
            vim.vm.FileLayoutEx.SnapshotLayout(
                key=vim.vm.Snapshot(snapshot.moid), dataKey=data, memoryKey=-1, disk=frozen
            )
        )
    return vim.vm.FileLayoutEx(file=files, disk=disks, snapshot=snapshots, timestamp=vm.changed_at)
