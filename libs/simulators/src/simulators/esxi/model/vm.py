"""A virtual machine: identity, devices, power, snapshots. Behaviour that takes time is in `operations`."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulators.esxi.disks.layers import Disk, Layer

POWERED_ON, POWERED_OFF, SUSPENDED = "poweredOn", "poweredOff", "suspended"
SCSI_RESERVED_UNIT = 7
"""The controller itself sits on unit 7."""


@dataclass
class Controller:
    """A storage controller. `kind` is the vim type's name, e.g. ParaVirtualSCSIController."""

    key: int
    bus: int
    kind: str

    @property
    def is_scsi(self) -> bool:
        return "SCSI" in self.kind or "LsiLogic" in self.kind or "BusLogic" in self.kind


@dataclass
class DiskDevice:
    """A disk as the VM sees it: where it is plugged in and what backs it."""

    key: int
    controller_key: int
    unit: int
    label: str
    disk: Disk
    mode: str = "persistent"


@dataclass
class Nic:
    """A network card."""

    key: int
    mac: str
    network: str
    kind: str = "VirtualVmxnet3"


@dataclass
class FrozenDisk:
    """A disk at the moment of a snapshot."""

    device: DiskDevice
    layer: Layer
    change_id: str | None
    capacity: int


@dataclass(eq=False)
class Snapshot:
    """A node of the snapshot tree."""

    moid: str
    number: int
    name: str
    description: str
    quiesced: bool
    power: str
    disks: dict[int, FrozenDisk]
    parent: "Snapshot | None"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    children: list["Snapshot"] = field(default_factory=list)

    def walk(self) -> Iterator["Snapshot"]:
        """This node and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(eq=False)
class Vm:
    """State of one VM; changed only on the event loop."""

    moid: str
    name: str
    datastore: str
    directory: str
    folder: Path
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    instance_uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    guest_id: str = "debian12_64Guest"
    version: str = "vmx-19"
    firmware: str = "bios"
    cpus: int = 1
    memory_mb: int = 1024
    annotation: str = ""
    template: bool = False
    power: str = POWERED_OFF
    tools: bool = True
    boot_time: datetime | None = None
    cbt: bool = False
    controllers: list[Controller] = field(default_factory=list)
    disks: list[DiskDevice] = field(default_factory=list)
    detached: list[Disk] = field(default_factory=list)
    """Disks whose files stayed when their device went."""
    nics: list[Nic] = field(default_factory=list)
    temporary_keys: dict[int, int] = field(default_factory=dict)
    """Negative controller keys of a specification and the keys that they got."""
    extra_config: dict[str, str] = field(default_factory=dict)
    roots: list[Snapshot] = field(default_factory=list)
    current_snapshot: Snapshot | None = None
    consolidation_needed: bool = False
    busy: Any = None
    """The task that is changing this VM, if any."""
    snapshot_numbers: int = 0
    changed_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    write_rate: float | None = None
    """MiB/s that the guest writes by itself."""

    @property
    def vmx(self) -> str:
        return f"[{self.datastore}] {self.directory}/{self.directory}.vmx"

    @property
    def running(self) -> bool:
        return self.power == POWERED_ON

    def disk(self, key: int) -> DiskDevice | None:
        return next((device for device in self.disks if device.key == key), None)

    def controller(self, key: int) -> Controller | None:
        return next((controller for controller in self.controllers if controller.key == key), None)

    def snapshots(self) -> Iterator[Snapshot]:
        for root in self.roots:
            yield from root.walk()

    def snapshot(self, moid: str) -> Snapshot | None:
        return next((snapshot for snapshot in self.snapshots() if snapshot.moid == moid), None)

    def all_disks(self) -> list[Disk]:
        """Disks of the VM now and of any of its snapshots, each once."""
        found = {id(device.disk): device.disk for device in self.disks}
        for snapshot in self.snapshots():
            found.update({id(frozen.device.disk): frozen.device.disk for frozen in snapshot.disks.values()})
        found.update({id(disk): disk for disk in self.detached})
        return list(found.values())

    def free_unit(self, controller: Controller) -> int:
        taken = {device.unit for device in self.disks if device.controller_key == controller.key}
        unit = 0
        while unit in taken or (controller.is_scsi and unit == SCSI_RESERVED_UNIT):
            unit += 1
        return unit

    def fresh_disk_key(self, controller: Controller, unit: int) -> int:
        """The key that ESXi gives: by controller family, bus and unit."""
        start = {True: 2000}.get(controller.is_scsi, 16000 if "AHCI" in controller.kind else 3000)
        if "NVME" in controller.kind:
            start = 32000
        key = start + controller.bus * 16 + unit
        while self.disk(key) is not None:
            key += 1
        return key

    def fresh_disk_name(self) -> str:
        taken = {disk.name for disk in self.all_disks()}
        name, number = self.directory, 0
        while name in taken or (self.folder / f"{name}-flat.vmdk").exists():
            number += 1
            name = f"{self.directory}_{number}"
        return name

    def close(self) -> None:
        for disk in self.all_disks():
            disk.close()
