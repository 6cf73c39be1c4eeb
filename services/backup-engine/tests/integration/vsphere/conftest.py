"""A simulated ESXi host per test, and sessions with it."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from backup_engine.adapters.vsphere.dialer import DialPolicy
from backup_engine.adapters.vsphere.hypervisor import VSphereConnector, VSphereHypervisor
from backup_engine.domain.change_tracking import ParentDisk, ParentPoint
from backup_engine.ports.hypervisor import DiskSource, Fence, no_fence
from backup_engine.ports.hypervisor_values import Credentials, Endpoint, SnapshotTaken
from backup_engine.testing.chunking import CHUNK_BYTES, read_chunks
from backup_engine.transports.planning import DiskPlan, plan_disks
from backup_engine.transports.selection import Ladder, Opened, TransportMemory
from simulators.esxi import HostSpec, RunningEsxi, VmSpec, start

PREFIX = "ebm-test-"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@dataclass
class Lab:
    """A host, a connector and what a test asks of the simulator's control plane."""

    esxi: RunningEsxi
    connector: VSphereConnector
    control: httpx.AsyncClient
    sessions: contextlib.AsyncExitStack
    prefix: str = PREFIX

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.esxi.host, self.esxi.port)

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.esxi.username, self.esxi.password)

    async def connect(self, fence: Fence = no_fence) -> VSphereHypervisor:
        session = await self.connector.connect(self.endpoint, self.credentials, fence=fence)
        self.sessions.push_async_callback(session.close)
        return session

    async def faults(self, *rules: dict[str, Any]) -> None:
        (await self.control.put("/_sim/faults", json=list(rules))).raise_for_status()

    async def calls(self, name: str | None = None) -> list[dict[str, Any]]:
        answer = await self.control.get("/_sim/requests", params={"name": name} if name else {})
        return list(answer.json()["results"])

    async def leases(self) -> list[dict[str, Any]]:
        return list((await self.control.get("/_sim/leases")).json()["results"])

    async def write(self, moid: str, fraction: float, seed: int) -> None:
        answer = await self.control.post(f"/_sim/vms/{moid}/write", json={"fraction": fraction, "seed": seed})
        answer.raise_for_status()

    async def power(self, moid: str, state: str) -> None:
        (await self.control.post(f"/_sim/vms/{moid}/power", json={"state": state})).raise_for_status()

    async def sha256(self, moid: str, key: int, snapshot: str | None = None) -> str:
        params = {"snapshot": snapshot} if snapshot else {}
        return str((await self.control.get(f"/_sim/vms/{moid}/disks/{key}/sha256", params=params)).json()["sha256"])

    async def snapshot(self, hypervisor: VSphereHypervisor, moid: str, number: int = 1) -> SnapshotTaken:
        return await hypervisor.create_snapshot(moid, name=f"{PREFIX}{number}.1", description="test", quiesce=False)

    async def remove(self, hypervisor: VSphereHypervisor, snapshot: str) -> None:
        """Remove a snapshot and wait for the end of its task."""
        task = await hypervisor.start_snapshot_removal(snapshot)
        while not (state := await hypervisor.task_state(task)).ended:
            await asyncio.sleep(0.01)
        assert state.error is None

    async def plan(
        self,
        hypervisor: VSphereHypervisor,
        moid: str,
        taken: SnapshotTaken,
        parent: ParentPoint | None = None,
        **how: Any,
    ) -> DiskPlan:
        """The plan of the first disk."""
        vm = await hypervisor.virtual_machine(moid)
        return (await plan_disks(hypervisor, vm, taken, parent, our_prefix=PREFIX, **how))[0]

    async def parent(self, hypervisor: VSphereHypervisor, moid: str, taken: SnapshotTaken) -> ParentPoint:
        """What a committed point of this snapshot would record."""
        vm = await hypervisor.virtual_machine(moid)
        disks = tuple(ParentDisk(d.key, d.uuid, d.capacity_bytes, d.change_id) for d in taken.disks)
        return ParentPoint(moid, vm.instance_uuid, disks, bool(vm.foreign_snapshots(PREFIX)))

    async def open(self, hypervisor: VSphereHypervisor, moid: str, taken: SnapshotTaken, plan: DiskPlan) -> Opened:
        """By the transport that fits."""
        vm = await hypervisor.virtual_machine(moid)
        return await Ladder(hypervisor, TransportMemory()).open(vm, taken.moref, plan, our_prefix=PREFIX)

    async def image(self, source: DiskSource, plan: DiskPlan, base: bytearray | None = None) -> bytearray:
        """The disk as a reader would store it, over its parent's content."""
        disk = bytearray(source.capacity_bytes) if base is None else bytearray(base)
        async for piece in read_chunks(source, plan):
            offset = piece.index * CHUNK_BYTES
            length = min(CHUNK_BYTES, len(disk) - offset)
            disk[offset : offset + length] = bytes(length) if piece.data is None else piece.data
        await source.finish()
        return disk

    def digest(self, data: bytes | bytearray) -> str:
        return hashlib.sha256(data).hexdigest()

    async def until(self, condition: Callable[[], Awaitable[Any]]) -> Any:
        """Wait for a condition on what the host answers."""
        while not (found := await condition()):
            await asyncio.sleep(0.01)
        return found

    async def expire_sessions(self) -> None:
        (await self.control.post("/_sim/sessions/expire")).raise_for_status()


@pytest.fixture
async def lab_of(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes a lab of VMs; further keywords go to the host."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(*vms: VmSpec | str, **host: Any) -> Lab:
            specs = tuple(VmSpec.parse(vm) if isinstance(vm, str) else vm for vm in vms)
            esxi = await start(HostSpec(tmp_path, vms=specs, **host))
            stack.push_async_callback(esxi.stop)
            connector = VSphereConnector(DialPolicy(allow_loopback=True), threads=4, retry_seconds=0.01)
            stack.push_async_callback(connector.aclose)
            control = await stack.enter_async_context(httpx.AsyncClient(base_url=esxi.control_url, timeout=60))
            sessions = await stack.enter_async_context(contextlib.AsyncExitStack())
            return Lab(esxi, connector, control, sessions)

        yield make


@pytest.fixture
async def lab(lab_of: Callable[..., Any]) -> Lab:
    """One running VM with a small disk."""
    made: Lab = await lab_of("web:96m:12m")
    return made
