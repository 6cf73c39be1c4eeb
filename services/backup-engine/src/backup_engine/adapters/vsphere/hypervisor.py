"""`ports.Hypervisor` and its connector for vSphere: one method, one call to the module that knows how."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from backup_engine.adapters.vsphere import cbt, inventory, lease_export, lease_import, power, snapshots, tasks
from backup_engine.adapters.vsphere.configuration import read_configuration
from backup_engine.adapters.vsphere.datastore_files import RETRY_SECONDS, FolderReader
from backup_engine.adapters.vsphere.dialer import Dialer, DialPolicy
from backup_engine.adapters.vsphere.http_data import HttpData
from backup_engine.adapters.vsphere.privileges import missing_privileges
from backup_engine.adapters.vsphere.session import Session
from backup_engine.domain.extents import Extent
from backup_engine.domain.machine_configuration import MachineConfiguration
from backup_engine.ports.hypervisor import ExportLease, Fence, ImportLease, ImportRequest, no_fence
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


class VSphereConnector:
    """`ports.HypervisorConnector`; one for a process.

    Args:
        policy: which addresses may be dialled.
        threads: size of the pool in which pyvmomi blocks, shared by all sessions.
        retry_seconds: first pause before a refused datastore read is tried again.
    """

    def __init__(self, policy: DialPolicy, *, threads: int = 8, retry_seconds: float = RETRY_SECONDS) -> None:
        self._dialer = Dialer(policy)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vsphere")
        self._retry_seconds = retry_seconds

    async def connect(
        self, endpoint: Endpoint, credentials: Credentials, *, fence: Fence = no_fence
    ) -> "VSphereHypervisor":
        """See the port."""
        fence()
        pinned = await self._dialer.dial(endpoint.host, endpoint.port, endpoint.thumbprint)
        session = Session(self._dialer, pinned, credentials, self._pool, fence)
        try:
            await session.open()
        except BaseException:
            await session.close()
            raise
        return VSphereHypervisor(session, self._retry_seconds)

    async def aclose(self) -> None:
        """End the pool; sessions are closed before."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class VSphereHypervisor:
    """A logged-in session with one host."""

    def __init__(self, session: Session, retry_seconds: float) -> None:
        self._session = session
        self._http = HttpData(session.fence)
        self._files = FolderReader(session, self._http, retry_seconds=retry_seconds)

    @property
    def endpoint(self) -> Endpoint:
        """With the pin filled in."""
        pinned = self._session.pinned
        return Endpoint(pinned.host, pinned.port, pinned.thumbprint)

    @property
    def thumbprint(self) -> str:
        """SHA-256 of the certificate in use."""
        return self._session.pinned.thumbprint

    @property
    def files(self) -> FolderReader:
        """Files of its datastores."""
        return self._files

    async def about(self) -> About:
        """Who the host says it is, as of login."""
        about = self._session.about
        return About(
            full_name=about.fullName,
            version=about.version,
            build=about.build,
            api_version=about.apiVersion,
            instance_uuid=about.instanceUuid,
            is_vcenter=self._session.is_vcenter,
        )

    async def missing_privileges(self, moid: str) -> tuple[str, ...]:
        """See the port."""
        return await missing_privileges(self._session, moid)

    async def inventory(self) -> Inventory:
        """See the port."""
        return await inventory.read_inventory(self._session)

    async def virtual_machine(self, moid: str) -> VirtualMachine:
        """See the port."""
        return await inventory.read_machine(self._session, moid)

    async def configuration(self, moid: str) -> MachineConfiguration:
        """See the port."""
        return await read_configuration(self._session, moid)

    async def enable_change_tracking(self, moid: str) -> None:
        """See the port."""
        await cbt.enable(self._session, moid)

    async def create_snapshot(self, moid: str, *, name: str, description: str, quiesce: bool) -> SnapshotTaken:
        """See the port."""
        return await snapshots.create(self._session, moid, name, description, quiesce=quiesce)

    async def snapshot_disks(self, snapshot: str) -> tuple[Disk, ...]:
        """See the port."""
        return await snapshots.disks(self._session, snapshot)

    async def snapshot_exists(self, snapshot: str) -> bool:
        """See the port."""
        return await snapshots.exists(self._session, snapshot)

    async def snapshots(self, moid: str, *, prefix: str = "") -> tuple[SnapshotRef, ...]:
        """See the port."""
        return await snapshots.of_machine(self._session, moid, prefix)

    async def start_snapshot_removal(self, snapshot: str) -> str:
        """See the port."""
        return await snapshots.start_removal(self._session, snapshot)

    async def start_consolidation(self, moid: str) -> str:
        """See the port."""
        return await snapshots.start_consolidation(self._session, moid)

    async def task_state(self, task: str) -> TaskState:
        """See the port."""
        state, _ = await tasks.look(self._session, task)
        return state

    async def changed_areas(
        self, moid: str, snapshot: str, disk_key: int, change_id: str, capacity_bytes: int
    ) -> tuple[Extent, ...]:
        """See the port."""
        return await cbt.changed_areas(self._session, moid, snapshot, disk_key, change_id, capacity_bytes)

    async def power_on(self, moid: str) -> None:
        """See the port."""
        await power.power_on(self._session, moid)

    async def power_off(self, moid: str) -> None:
        """See the port."""
        await power.power_off(self._session, moid)

    async def shut_down(self, moid: str, timeout_seconds: float = 300) -> bool:
        """See the port."""
        return await power.shut_down(self._session, moid, timeout_seconds)

    async def destroy(self, moid: str) -> None:
        """See the port."""
        await power.destroy(self._session, moid)

    async def tag(self, moid: str, value: str) -> None:
        """See the port."""
        await power.tag(self._session, moid, value)

    async def tagged(self, task: str) -> tuple[VirtualMachine, ...]:
        """See the port."""
        return await inventory.read_tagged(self._session, task)

    async def open_export(self, snapshot: str, disks: Sequence[Disk]) -> ExportLease:
        """See the port."""
        return await lease_export.open_export(self._session, self._http, snapshot, disks)

    async def import_machine(self, request: ImportRequest) -> ImportLease:
        """See the port."""
        return await lease_import.open_import(self._session, self._http, request)

    async def close(self) -> None:
        """See the port."""
        await self._http.close()
        await self._session.close()
