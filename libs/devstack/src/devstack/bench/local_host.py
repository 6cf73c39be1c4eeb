"""A host whose one machine has a disk that is a file here, so that the runner reads what restic reads, and as fast.

It answers what a first backup of a powered-off machine asks, which by the runner's own choice is read by ranges of
the disk's file. How real hosts behave is the simulator's matter; here only the vault and its way shall be measured.
"""

import asyncio
import os
from dataclasses import dataclass, field
from typing import cast

from backup_engine.domain.extents import Extent
from backup_engine.domain.machine_configuration import MachineConfiguration
from backup_engine.ports.hypervisor import Fence, Hypervisor, no_fence
from backup_engine.ports.hypervisor_values import (
    Credentials,
    Disk,
    DiskAddress,
    Endpoint,
    PowerState,
    SnapshotRef,
    SnapshotTaken,
    VirtualMachine,
)

from devstack.bench.image import Image

MOID = "vm-1"
SNAPSHOT = "snapshot-1"
FILE, FLAT = "[files] bench/image.vmdk", "[files] bench/image-flat.vmdk"
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Files:
    """DatastoreReader over the image."""

    image: Image
    handle: int

    async def size(self, file: str) -> int:
        assert file == FLAT, file
        return self.image.size

    async def read(self, file: str, offset: int, length: int) -> bytes:
        assert file == FLAT, file
        return await asyncio.to_thread(os.pread, self.handle, length, offset)

    async def read_whole(self, file: str, limit_bytes: int) -> bytes:
        assert file == FILE, file
        descriptor = f'# Disk DescriptorFile\nRW {self.image.size // SECTOR} VMFS "image-flat.vmdk"\n'.encode()
        assert len(descriptor) <= limit_bytes
        return descriptor


@dataclass(slots=True)
class LocalHost:
    """HypervisorConnector and, as far as a backup needs it, the session that it opens."""

    image: Image
    handle: int
    taken: tuple[SnapshotRef, ...] = field(default=())

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("localhost.example")

    @property
    def files(self) -> Files:
        return Files(self.image, self.handle)

    @property
    def disk(self) -> Disk:
        address = DiskAddress(1000, "ParaVirtualSCSIController", 0, 0)
        return Disk(
            key=2000,
            label="Hard disk 1",
            capacity_bytes=self.image.size,
            uuid="6000c29d-0000-4000-8000-000000000001",
            address=address,
            file=FILE,
            datastore_moid="ds-1",
            parent_file=None,
            thin=True,
            mode="persistent",
            is_rdm=False,
            is_flat=True,
            encrypted=False,
            change_id="52 00/1",
        )

    async def connect(self, endpoint: Endpoint, credentials: Credentials, *, fence: Fence = no_fence) -> Hypervisor:  # noqa: ARG002 - the port's
        return cast("Hypervisor", self)

    async def close(self) -> None:
        """The file is its opener's."""

    async def virtual_machine(self, moid: str) -> VirtualMachine:
        return VirtualMachine(
            moid=moid,
            name="bench",
            uuid=None,
            instance_uuid=None,
            power_state=PowerState.OFF,
            guest_os=None,
            is_template=False,
            encrypted=False,
            hardware_version=19,
            change_tracking_supported=True,
            change_tracking_enabled=True,
            consolidation_needed=False,
            snapshots=self.taken,
            current_snapshot=SNAPSHOT if self.taken else None,
            disks=(self.disk,),
            task_tag=None,
        )

    async def configuration(self, moid: str) -> MachineConfiguration:  # noqa: ARG002 - the port's
        return MachineConfiguration(
            name="bench",
            guest_id="otherLinux64Guest",
            hardware_version="vmx-19",
            cpus=1,
            cores_per_socket=1,
            memory_mib=1024,
            firmware="bios",
            secure_boot=False,
            uuid=None,
            instance_uuid=None,
            annotation="",
            controllers=(),
            disks=(),
            cards=(),
        )

    async def create_snapshot(self, moid: str, *, name: str, description: str, quiesce: bool) -> SnapshotTaken:  # noqa: ARG002 - the port's
        self.taken = (SnapshotRef(SNAPSHOT, name, description, None, None),)
        return SnapshotTaken(SNAPSHOT, (self.disk,), quiesced=False)

    async def snapshot_disks(self, snapshot: str) -> tuple[Disk, ...]:
        assert snapshot == SNAPSHOT, snapshot
        return (self.disk,)

    async def snapshot_exists(self, snapshot: str) -> bool:
        return snapshot == SNAPSHOT

    async def changed_areas(
        self,
        moid: str,  # noqa: ARG002 - the port's
        snapshot: str,  # noqa: ARG002
        disk_key: int,  # noqa: ARG002
        change_id: str,  # noqa: ARG002
        capacity_bytes: int,
    ) -> tuple[Extent, ...]:
        """All of it is allocated: the image is dense."""
        return (Extent(0, capacity_bytes),)
