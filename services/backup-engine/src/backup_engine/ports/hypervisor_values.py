"""The values that cross the protocols of `ports.hypervisor`: what a host is asked for and what it shows."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class PowerState(StrEnum):
    """Power states of a virtual machine."""

    ON = "on"
    OFF = "off"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host as its owner named it.

    `thumbprint` is the SHA-256 of the certificate (64 lower-case hex digits) that was accepted earlier; None at first
    use, when whatever certificate is seen is reported by `Hypervisor.thumbprint` to be stored.
    """

    host: str
    port: int = 443
    thumbprint: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account on the host; the password never appears in a repr."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class About:
    """What the host says of itself. `is_vcenter` decides nothing about transports; capabilities do."""

    full_name: str
    version: str
    build: str
    api_version: str
    instance_uuid: str | None
    is_vcenter: bool


@dataclass(frozen=True, slots=True)
class DiskAddress:
    """Where a disk hangs: survives renaming and decides which disk is which at restore (never order or size)."""

    controller_key: int
    controller_type: str
    bus: int
    unit: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A virtual disk as one read of the VM's or the snapshot's devices gives it; never cached between jobs (D26)."""

    key: int
    label: str
    capacity_bytes: int
    uuid: str | None
    address: DiskAddress
    file: str
    """`[datastore] path/x.vmdk`, the file that this device writes to (VM) or holds frozen (snapshot)."""
    datastore_moid: str | None
    parent_file: str | None
    """The backing's parent; None when `file` is a base disk."""
    thin: bool
    mode: str
    is_rdm: bool
    is_flat: bool
    """The backing is a flat file (VirtualDiskFlatVer2BackingInfo), as opposed to sparse or raw mapping."""
    encrypted: bool
    change_id: str | None
    """Only meaningful on a snapshot's devices."""

    @property
    def independent(self) -> bool:
        """Left out of snapshots, hence not backed up."""
        return self.mode.startswith("independent")


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """One node of a VM's snapshot tree."""

    moref: str
    name: str
    description: str
    created_at: datetime | None
    parent_moref: str | None


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """One VM as read now."""

    moid: str
    name: str
    uuid: str | None
    instance_uuid: str | None
    power_state: PowerState
    guest_os: str | None
    is_template: bool
    encrypted: bool
    hardware_version: int
    change_tracking_supported: bool
    change_tracking_enabled: bool
    consolidation_needed: bool
    snapshots: tuple[SnapshotRef, ...]
    current_snapshot: str | None
    disks: tuple[Disk, ...]
    task_tag: str | None
    """Value of the `ebm.task` mark (`<task>.<token>`) on VMs that a restore made; None on all others."""

    @property
    def has_snapshots(self) -> bool:
        """Whether anybody's snapshot exists, ours included."""
        return bool(self.snapshots)

    def foreign_snapshots(self, our_prefix: str) -> tuple[SnapshotRef, ...]:
        """Snapshots whose name does not start with `our_prefix`: users' and other products' (D17)."""
        return tuple(s for s in self.snapshots if not s.name.startswith(our_prefix))


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore that the account sees."""

    moid: str
    name: str
    type: str
    capacity_bytes: int
    free_bytes: int
    accessible: bool


@dataclass(frozen=True, slots=True)
class Network:
    """A network (or distributed port group) that a VM can be connected to."""

    moid: str
    name: str


@dataclass(frozen=True, slots=True)
class Host:
    """An ESXi host in the inventory; its name is also an allowed host of lease URLs."""

    moid: str
    name: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that the account sees, read in one pass."""

    virtual_machines: tuple[VirtualMachine, ...]
    datastores: tuple[Datastore, ...]
    networks: tuple[Network, ...]
    hosts: tuple[Host, ...]


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A snapshot that now exists, with the disks of the *snapshot's* devices (their changeIds are the ones to keep)."""

    moref: str
    disks: tuple[Disk, ...]
    quiesced: bool


class TaskPhase(StrEnum):
    """States of a task on the host."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"
    GONE = "gone"
    """The host no longer knows the task: look at what it was to change instead (D24)."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """One look at a task; `error` is one of our errors, not raised."""

    phase: TaskPhase
    progress_percent: int | None
    error: Exception | None

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.phase in (TaskPhase.SUCCESS, TaskPhase.ERROR, TaskPhase.GONE)
