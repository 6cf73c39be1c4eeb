"""What backup-engine needs of a hypervisor and of the ways to move a disk's bytes.

Here are the protocols; the values that cross them are in `hypervisor_values`. Nothing here knows SOAP, HTTP or pyvmomi.
Made real by `adapters/vsphere` (control plane, leases) and `transports` (bytes). Managed object ids (`moid`, `moref`)
are opaque strings. Sizes and offsets are bytes.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from backup_engine.domain.extents import Extent
from backup_engine.domain.machine_configuration import MachineConfiguration
from backup_engine.ports.hypervisor_values import (
    About,
    Credentials,
    Disk,
    Endpoint,
    Inventory,
    SnapshotRef,
    SnapshotTaken,
    TaskState,
    VirtualMachine,
)

Buffer = bytes | bytearray | memoryview

Fence = Callable[[], None]
"""Called before every call to the host and before every piece of data read or written; raises when the caller's lease
may be over, so that a runner that was stopped and goes on changes nothing (D73)."""


def no_fence() -> None:
    """The fence of callers that hold no lease: connection test, inventory."""


class BlockStream(Protocol):
    """A disk's bytes arriving once, in increasing order, holes left out."""

    @property
    def capacity_bytes(self) -> int:
        """Capacity that the stream itself announces."""
        ...

    @property
    def wire_bytes(self) -> int:
        """Bytes received so far, before inflating."""
        ...

    def blocks(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """(offset, bytes), increasing, never overlapping, zero blocks left out.

        Ends normally only when the whole stream was seen and proven complete (D35); else raises DiskStreamDamaged.
        """
        ...


class ExportLease(Protocol):
    """Read access to a snapshot's disks as streams. Keep-alive runs in a task of its own until `close` (D32)."""

    @property
    def disk_keys(self) -> tuple[int, ...]:
        """Disks that this lease offers."""
        ...

    def open_disk(self, disk_key: int) -> BlockStream:
        """A stream of one disk, from its start; one reader at a time."""
        ...

    def report_progress(self, fraction: float) -> None:
        """What the next keep-alive tells the host (0..1)."""
        ...

    async def complete(self) -> None:
        """End it well. Idempotent; after it `close` does nothing."""
        ...

    async def close(self) -> None:
        """Abort unless completed. Idempotent: the host hears at most one abort (D34)."""
        ...


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A VM to be made from a restore point's configuration, under a new name."""

    configuration: MachineConfiguration
    name: str
    tag: str
    """`<task>.<token>`, written into the VM as `ebm.task` at creation, before the first byte."""
    datastore: str | None = None
    """Name or moid; None asks for the datastore of the source's first disk, which must exist (D60)."""
    networks: Mapping[str, str] = field(default_factory=dict)
    """Source network name → target network name, for those that differ."""
    keep_mac: bool = False
    thin: bool | None = None
    """None keeps each disk's own provisioning."""


class ImportLease(Protocol):
    """Write access to the disks of a VM that is being made. Powered off, and not usable, until `complete`."""

    @property
    def disk_keys(self) -> tuple[int, ...]:
        """Disks to be written, by their keys in the stored configuration."""
        ...

    async def write_disk(self, disk_key: int, blocks: AsyncIterator[tuple[int, Buffer]]) -> int:
        """Write one disk whole, once, strictly in increasing order; what is left out reads as zeros.

        Offsets are multiples of 64 KiB, except that nothing may follow a piece that is not. Returns wire bytes.
        """
        ...

    async def complete(self) -> str:
        """All disks are written: returns the moid of the VM, powered off."""
        ...

    async def close(self) -> None:
        """Unless completed: abort, and destroy what was made so that no half VM stays registered (D59). Idempotent."""
        ...


class DatastoreReader(Protocol):
    """Files of a datastore over HTTPS."""

    async def size(self, file: str) -> int:
        """Size in bytes of `[datastore] path`."""
        ...

    async def read(self, file: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises RangeRefused, DatastoreFileLocked, DatastoreFileMissing (D36, D37)."""
        ...

    async def read_whole(self, file: str, limit_bytes: int) -> bytes:
        """A small file such as .vmx or .nvram. Raises DatastoreFileTooLarge beyond `limit_bytes`."""
        ...


class Hypervisor(Protocol):
    """A session with one host. All methods may be called concurrently; each has its own timeout.

    Every method can raise HypervisorLoginRefused, HostUnreachable, CertificateChanged, HypervisorTimeout and
    HypervisorFault. An expired session is logged in again and the call repeated, once (D23).
    """

    @property
    def endpoint(self) -> Endpoint:
        """Where it is connected, with the pinned thumbprint filled in."""
        ...

    @property
    def thumbprint(self) -> str:
        """The certificate in use: what to store after first use."""
        ...

    async def about(self) -> About:
        """Who the host says it is."""
        ...

    async def missing_privileges(self, moid: str) -> tuple[str, ...]:
        """Privileges for backup and restore that the account lacks on this VM (D29). Empty: none."""
        ...

    async def inventory(self) -> Inventory:
        """All VMs, datastores, networks and hosts."""
        ...

    async def virtual_machine(self, moid: str) -> VirtualMachine:
        """One VM, read now. Raises VmNotFound."""
        ...

    async def configuration(self, moid: str) -> MachineConfiguration:
        """What is stored with a restore point in order to make the VM again. Raises VmNotFound."""
        ...

    async def enable_change_tracking(self, moid: str) -> None:
        """Turn CBT on; it lives after the next stun. Raises ChangeTrackingUnsupported, HypervisorStateConflict."""
        ...

    async def create_snapshot(self, moid: str, *, name: str, description: str, quiesce: bool) -> SnapshotTaken:
        """Without memory. Never sent twice. Raises QuiesceFailed, HypervisorBusy, DatastoreFull, VmNotFound."""
        ...

    async def snapshot_disks(self, snapshot: str) -> tuple[Disk, ...]:
        """The disks frozen by a snapshot. Raises SnapshotNotFound."""
        ...

    async def snapshot_exists(self, snapshot: str) -> bool:
        """Whether the moref still names a snapshot."""
        ...

    async def snapshots(self, moid: str, *, prefix: str = "") -> tuple[SnapshotRef, ...]:
        """The VM's snapshots whose name starts with `prefix`, parents first."""
        ...

    async def start_snapshot_removal(self, snapshot: str) -> str:
        """Send the removal (children kept, consolidated) once; returns the task's moref. Raises SnapshotNotFound."""
        ...

    async def start_consolidation(self, moid: str) -> str:
        """Merge leftover delta disks (D16); returns the task's moref."""
        ...

    async def task_state(self, task: str) -> TaskState:
        """One look; never raises for the task's own failure."""
        ...

    async def changed_areas(
        self, moid: str, snapshot: str, disk_key: int, change_id: str, capacity_bytes: int
    ) -> tuple[Extent, ...]:
        """All areas changed since `change_id` ("*": all allocated), paged to the end, coverage proven (D1).

        Normalized: sorted, disjoint. Raises ChangeTrackingUnusable with its reason (D2, D4, D5).
        """
        ...

    async def power_on(self, moid: str) -> None:
        """Wait until it is on."""
        ...

    async def power_off(self, moid: str) -> None:
        """Hard. Off already: nothing."""
        ...

    async def shut_down(self, moid: str, timeout_seconds: float = 300) -> bool:
        """Ask the guest; True when it is off in time. Raises HypervisorStateConflict without guest tools."""
        ...

    async def destroy(self, moid: str) -> None:
        """Power off if needed and delete with its files. Gone already: nothing."""
        ...

    async def tag(self, moid: str, value: str) -> None:
        """Write `ebm.task`; an empty value removes it."""
        ...

    async def tagged(self, task: str) -> tuple[VirtualMachine, ...]:
        """VMs whose `ebm.task` is `<task>.<any token>`."""
        ...

    async def open_export(self, snapshot: str, disks: Sequence[Disk]) -> ExportLease:
        """A fresh lease on a snapshot; `disks` are the snapshot's own, to tell which stream is which."""
        ...

    async def import_machine(self, request: ImportRequest) -> ImportLease:
        """Make the VM and open its disks for writing. Raises PlacementNotFound (D60)."""
        ...

    @property
    def files(self) -> DatastoreReader:
        """Files of this host's datastores."""
        ...

    async def close(self) -> None:
        """Log out and free connections and threads. Idempotent; never raises for a host that is gone."""
        ...


class HypervisorConnector(Protocol):
    """Opens sessions; the only door to hosts that customers name."""

    async def connect(self, endpoint: Endpoint, credentials: Credentials, *, fence: Fence = no_fence) -> Hypervisor:
        """Dial, pin and log in.

        Raises HostNotAllowed, HostUnreachable, CertificateChanged, CertificateUntrusted, HypervisorLoginRefused.
        """
        ...


# ---- the bytes of disks


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do; selection looks at nothing else."""

    random_read: bool = False
    sequential_read: bool = False
    running_vm: bool = False
    """Can read while the VM runs (from our snapshot)."""
    foreign_snapshots: bool = False
    """Reads the right bytes when other snapshots than ours exist."""
    plain_text: bool = False
    """Delivers plaintext of an encrypted VM."""
    any_backing: bool = False
    """Independent of how the file lies on the datastore (flat, sparse)."""
    random_write: bool = False
    sequential_write: bool = False


class DiskSource(Protocol):
    """One disk of one snapshot, open for reading by one transport."""

    @property
    def transport(self) -> str:
        """Name of the transport, to be recorded on the restore point."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Exactly those of the offer it came from."""
        ...

    @property
    def capacity_bytes(self) -> int:
        """Capacity of the disk."""
        ...

    @property
    def wire_bytes(self) -> int:
        """Bytes received from the host so far."""
        ...

    async def pread(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; only with random_read. May be called concurrently."""
        ...

    def stream(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """The whole disk once; only with sequential_read. See BlockStream.blocks."""
        ...

    async def finish(self) -> None:
        """After the last byte: proves that what was read was one state of the disk. Raises BackingChanged."""
        ...

    async def close(self) -> None:
        """Free it; without `finish` before, what was read must be thrown away. Idempotent."""
        ...
