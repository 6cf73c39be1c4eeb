"""The simulated host: everything there is, found by its managed object id.

Not here: what calls do (`model.operations`, `soap`), how objects look on the wire (`soap.objects`).
"""

import asyncio
import itertools
import random
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simulators.esxi.disks.image import ImageSpec, make_image
from simulators.esxi.disks.layers import Disk
from simulators.esxi.faults import CallLog, Faults
from simulators.esxi.model.leases import Lease
from simulators.esxi.model.records import Records
from simulators.esxi.model.sessions import Sessions
from simulators.esxi.model.tasks import Tasks
from simulators.esxi.model.vm import POWERED_ON, Controller, DiskDevice, Nic, Vm
from simulators.esxi.spec import DiskSpec, HostSpec, VmSpec
from simulators.esxi.vmodl import fault, vim

NETWORK = "VM Network"


class EsxHost:
    """State of one host. All of it belongs to the event loop; only disk bytes are touched in threads."""

    def __init__(self, spec: HostSpec) -> None:
        self.spec = spec
        self.started_at = datetime.now(UTC)
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, spec.name))
        self.faults = Faults()
        self.log = CallLog()
        self.sessions = Sessions(spec.username, spec.password, idle_seconds=spec.session_idle)
        self.tasks = Tasks(self.changed)
        self.records = Records()
        self.vms: dict[str, Vm] = {}
        self.unregistered: dict[str, Vm] = {}
        self.leases: dict[str, Lease] = {}
        self.views: dict[str, Any] = {}
        self.stopping = False
        self.revision = 0
        self._moved = asyncio.Event()
        self._moids = itertools.count(1)
        self._start_anew()
        for name in spec.datastores:
            self.datastore_folder(name).mkdir(parents=True, exist_ok=True)

    def _start_anew(self) -> None:
        """State is not kept between starts: an earlier one's disks go, if a simulator made them."""
        marker = self.spec.folder / ".esxi-simulator"
        if marker.exists():
            shutil.rmtree(self.spec.folder / "datastores", ignore_errors=True)
        self.spec.folder.mkdir(parents=True, exist_ok=True)
        marker.touch()

    # -- change notification --------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Wake everybody who waits for updates."""
        self.revision += 1
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait_changed(self, seconds: float) -> None:
        """Until something changes, at most so long."""
        moved = self._moved
        try:
            async with asyncio.timeout(seconds):
                await moved.wait()
        except TimeoutError:
            return

    # -- datastores -------------------------------------------------------------------------------------------------

    def datastore_folder(self, name: str) -> Path:
        return self.spec.folder / "datastores" / name.replace("/", "_")

    def registered_and_not(self) -> list[Vm]:
        return [*self.vms.values(), *self.unregistered.values()]

    def used_bytes(self, datastore: str) -> int:
        vms = [vm for vm in self.registered_and_not() if vm.datastore == datastore]
        return sum(disk.allocated_bytes() for vm in vms for disk in vm.all_disks())

    # -- VMs ----------------------------------------------------------------------------------------------------------

    def new_vm(self, name: str, datastore: str) -> Vm:
        """An empty VM in a directory of its own, not yet in the inventory.

        Raises:
            vim.fault.DuplicateName: a registered VM has this name.
        """
        taken = next((vm for vm in self.vms.values() if vm.name == name), None)
        if taken is not None:
            raise fault(
                vim.fault.DuplicateName, f"The name '{name}' already exists.",
                name=name, object=vim.VirtualMachine(taken.moid),
            )  # fmt: skip
        directory, number = name.replace("/", "_").lstrip("."), 0
        while (folder := self.datastore_folder(datastore) / directory).exists():
            number += 1
            directory = f"{name.replace('/', '_').lstrip('.')}_{number}"
        folder.mkdir()
        return Vm(str(next(self._moids)), name, datastore, directory, folder)

    def register(self, vm: Vm) -> None:
        """Put the VM in the inventory, its configuration file beside its disks."""
        self.vms[vm.moid] = vm
        lines = [f'displayName = "{vm.name}"', f'uuid.bios = "{vm.uuid}"', f'guestOS = "{vm.guest_id}"']
        (vm.folder / f"{vm.directory}.vmx").write_text("\n".join(['.encoding = "UTF-8"', *lines, ""]), "utf-8")
        (vm.folder / f"{vm.directory}.nvram").write_bytes(b"MRVN".ljust(8684, b"\0"))
        self.changed()

    def fresh_moid(self) -> str:
        return str(next(self._moids))

    def discard(self, vm: Vm) -> None:
        """Remove the VM with all its files."""
        self.vms.pop(vm.moid, None)
        for disk in vm.all_disks():
            disk.delete()
        shutil.rmtree(vm.folder, ignore_errors=True)
        self.changed()

    def leases_of(self, vm: Vm) -> list[Lease]:
        return [lease for lease in self.leases.values() if lease.vm is vm and lease.active]

    def build(self, spec: VmSpec) -> Vm:
        """Make a VM with its disk images (blocking: call it in a thread)."""
        vm = self.new_vm(spec.name, self.spec.datastores[0])
        chance = random.Random(spec.disk_seed)
        vm.uuid = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        vm.instance_uuid = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        vm.tools, vm.cbt = spec.tools, spec.cbt
        vm.controllers.append(Controller(1000, 0, spec.controller))
        vm.nics.append(Nic(4000, f"00:0c:29:{chance.randrange(256):02x}:{chance.randrange(256):02x}:01", NETWORK))
        for number, disk in enumerate(spec.disks):
            self._add_disk(vm, disk, spec.disk_seed + number, str(uuid.UUID(int=chance.getrandbits(128), version=4)))
        if spec.running:
            vm.power, vm.boot_time = POWERED_ON, datetime.now(UTC)
            for device in vm.disks:
                device.disk.tracker.stun()
        return vm

    @staticmethod
    def _add_disk(vm: Vm, spec: DiskSpec, seed: int, identity: str) -> None:
        controller = vm.controllers[0]
        unit = vm.free_unit(controller)
        name = vm.fresh_disk_name()
        data_map = []
        if spec.used:
            data_map = make_image(vm.folder / f"{name}-flat.vmdk", ImageSpec(spec.size, spec.used, seed, spec.table))
        disk = Disk(vm.fresh_disk_key(controller, unit), name, vm.folder, spec.size, uuid=identity, thin=spec.thin)
        disk.data_map = data_map
        disk.tracker.request(enabled=vm.cbt)
        vm.disks.append(DiskDevice(disk.key, controller.key, unit, f"Hard disk {len(vm.disks) + 1}", disk))

    async def stop(self) -> None:
        """End all work and close the files; they stay where they are."""
        self.stopping = True
        await self.tasks.stop()
        for vm in self.registered_and_not():
            vm.close()
