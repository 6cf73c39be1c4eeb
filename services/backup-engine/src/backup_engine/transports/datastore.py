"""Transport `datastore`: ranges of a powered-off VM's flat disk file over HTTPS.

The file is read that our snapshot froze; a user's snapshot, a delta or a running VM would make it another content. What
allowed the reading is looked at again after the last byte, and a change discards the disk.
"""

import re
from collections.abc import AsyncGenerator

from backup_engine.errors.hypervisor import BackingChanged, RangeRefused
from backup_engine.ports.hypervisor import Capabilities, Hypervisor
from backup_engine.ports.hypervisor_values import Disk, PowerState

NAME = "datastore"
CAPABILITIES = Capabilities(random_read=True)

LARGEST_DESCRIPTOR = 64 << 10
"""A descriptor is a page of text."""

_EXTENT = re.compile(r'^RW (\d+) (\w+) "([^"/\\]+)"', re.MULTILINE)


class DatastoreSource:
    """`ports.DiskSource` over the flat file behind a disk. Made by `open_source`."""

    def __init__(
        self, hypervisor: Hypervisor, moid: str, snapshot: str | None, disk: Disk, flat_file: str, our_prefix: str
    ) -> None:
        self._hypervisor = hypervisor
        self._moid = moid
        self._snapshot = snapshot
        self._disk = disk
        self._flat_file = flat_file
        self._our_prefix = our_prefix
        self._wire_bytes = 0

    @property
    def transport(self) -> str:
        """For the record."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return CAPABILITIES

    @property
    def capacity_bytes(self) -> int:
        """Of the disk."""
        return self._disk.capacity_bytes

    @property
    def wire_bytes(self) -> int:
        """Received so far."""
        return self._wire_bytes

    async def pread(self, offset: int, length: int) -> bytes:
        """See the port. Raises RangeRefused, DatastoreFileLocked, DatastoreFileMissing, HostUnreachable."""
        data = await self._hypervisor.files.read(self._flat_file, offset, length)
        self._wire_bytes += len(data)
        return data

    def stream(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Not offered: it would send a thin disk's holes."""
        raise TypeError("a datastore file is read by ranges")

    async def finish(self) -> None:
        """Look again at everything that made the file the disk. Raises BackingChanged."""
        changed = await refusal(self._hypervisor, self._moid, self._snapshot, self._disk, self._our_prefix)
        if changed is not None:
            raise BackingChanged(what=changed)

    async def close(self) -> None:
        """Connections belong to the session."""


async def refusal(hypervisor: Hypervisor, moid: str, snapshot: str | None, disk: Disk, our_prefix: str) -> str | None:
    """Why the disk's file is not, now, exactly its content; None if it is. Reads the host, caches nothing (D26)."""
    vm = await hypervisor.virtual_machine(moid)
    if vm.power_state is not PowerState.OFF:
        return "power state"
    if vm.foreign_snapshots(our_prefix):
        return "list of snapshots"
    disks = vm.disks if snapshot is None else await hypervisor.snapshot_disks(snapshot)
    now = next((one for one in disks if one.key == disk.key), None)
    if now is None or not now.is_flat or (now.file, now.capacity_bytes) != (disk.file, disk.capacity_bytes):
        return "disk file"
    return None


async def open_source(
    hypervisor: Hypervisor, moid: str, snapshot: str | None, disk: Disk, our_prefix: str
) -> DatastoreSource:
    """Find the flat file by the disk's descriptor and prove that ranges of it are served.

    Raises:
        BackingChanged: the VM is not as it was when this transport was chosen.
        RangeRefused: the descriptor or the file is not what this transport can read.
        DatastoreFileLocked: the host does not serve the file now.
    """
    changed = await refusal(hypervisor, moid, snapshot, disk, our_prefix)
    if changed is not None:
        raise BackingChanged(what=changed)
    flat_file = await _flat_file(hypervisor, disk)
    size = await hypervisor.files.size(flat_file)
    if size != disk.capacity_bytes:
        raise RangeRefused(reason=f"{flat_file} has {size} bytes, the disk {disk.capacity_bytes}")
    return DatastoreSource(hypervisor, moid, snapshot, disk, flat_file, our_prefix)


async def _flat_file(hypervisor: Hypervisor, disk: Disk) -> str:
    text = (await hypervisor.files.read_whole(disk.file, LARGEST_DESCRIPTOR)).decode("utf-8", "replace")
    extents = _EXTENT.findall(text)
    if not text.lstrip().startswith("# Disk DescriptorFile") or len(extents) != 1:
        raise RangeRefused(reason=f"{disk.file} does not describe one extent")
    sectors, kind, name = extents[0]
    if kind != "VMFS" or int(sectors) * 512 != disk.capacity_bytes:
        raise RangeRefused(reason=f"{disk.file} is of type {kind} with {sectors} sectors")
    return f"{disk.file.rpartition('/')[0]}/{name}"
