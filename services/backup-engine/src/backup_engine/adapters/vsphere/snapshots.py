"""VMware snapshots: make, find, look at, remove, consolidate."""

from common.crash_points import reach

from backup_engine.adapters.vsphere.devices import disks_of
from backup_engine.adapters.vsphere.inventory import flattened
from backup_engine.adapters.vsphere.session import Session, read_properties
from backup_engine.adapters.vsphere.tasks import finished
from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.errors.hypervisor import HypervisorFault, SnapshotNotFound, VmNotFound
from backup_engine.ports.hypervisor_values import Disk, SnapshotRef, SnapshotTaken

CREATE_SECONDS = 1800.0
"""Without memory it takes seconds; a guest that quiesces databases is given up after 15 minutes by the host itself."""


async def create(session: Session, moid: str, name: str, description: str, *, quiesce: bool) -> SnapshotTaken:
    """One snapshot without memory; sent once."""
    machine = session.managed(vim.VirtualMachine, moid)
    task = await session.call(
        "CreateSnapshot_Task",
        lambda: machine.CreateSnapshot_Task(name=name, description=description, memory=False, quiesce=quiesce),
        changes=True,
    )
    reach("backup-engine.snapshot.asked")
    moref = moid_of(await finished(session, moid_of(task), "CreateSnapshot", CREATE_SECONDS))
    return SnapshotTaken(moref, await disks(session, moref), quiesce and await _was_quiesced(session, moid, moref))


async def _was_quiesced(session: Session, moid: str, moref: str) -> bool:
    """Whether the guest really was: a host may give up the wish without an error."""
    found = await read_properties(session, vim.VirtualMachine, [moid], ["snapshot"])
    tree = found.get(moid, {}).get("snapshot")
    nodes = list(tree.rootSnapshotList) if tree else []
    while nodes:
        node = nodes.pop()
        if moid_of(node.snapshot) == moref:
            return bool(node.quiesced)
        nodes.extend(node.childSnapshotList or ())
    return False


async def disks(session: Session, snapshot: str) -> tuple[Disk, ...]:
    """The frozen disks, with the changeIds to keep. Raises SnapshotNotFound."""
    try:
        found = await read_properties(session, vim.vm.Snapshot, [snapshot], ["config.hardware.device"])
    except HypervisorFault as fault:
        raise _gone(fault, snapshot) from fault
    if "config.hardware.device" not in found.get(snapshot, {}):
        raise SnapshotNotFound(moref=snapshot)
    return disks_of(found[snapshot]["config.hardware.device"])


async def exists(session: Session, snapshot: str) -> bool:
    """Whether the moref still names a snapshot."""
    try:
        return bool((await read_properties(session, vim.vm.Snapshot, [snapshot], ["config.name"])).get(snapshot))
    except SnapshotNotFound:
        return False
    except HypervisorFault as fault:
        if isinstance(_gone(fault, snapshot), SnapshotNotFound):
            return False
        raise


async def of_machine(session: Session, moid: str, prefix: str) -> tuple[SnapshotRef, ...]:
    """Snapshots of a VM whose names start so, parents first. Raises VmNotFound."""
    found = await read_properties(session, vim.VirtualMachine, [moid], ["snapshot", "name"])
    if moid not in found:
        raise VmNotFound(moid=moid)
    tree = found[moid].get("snapshot")
    refs = flattened(tree.rootSnapshotList) if tree else ()
    return tuple(ref for ref in refs if ref.name.startswith(prefix))


async def start_removal(session: Session, snapshot: str) -> str:
    """Ask once for the removal, children kept; returns the task. It may run for hours."""
    managed = session.managed(vim.vm.Snapshot, snapshot)
    try:
        task = await session.call(
            "RemoveSnapshot_Task",
            lambda: managed.RemoveSnapshot_Task(removeChildren=False, consolidate=True),
            changes=True,
        )
    except HypervisorFault as fault:
        raise _gone(fault, snapshot) from fault
    return moid_of(task)


async def start_consolidation(session: Session, moid: str) -> str:
    """Merge delta disks that no snapshot needs; returns the task."""
    machine = session.managed(vim.VirtualMachine, moid)
    task = await session.call("ConsolidateVMDisks_Task", machine.ConsolidateVMDisks_Task, changes=True)
    return moid_of(task)


def _gone(fault: HypervisorFault, snapshot: str) -> HypervisorFault | SnapshotNotFound:
    """A host does not always say which object it misses."""
    if fault.fields.get("fault") == "ManagedObjectNotFound":
        return SnapshotNotFound(moref=snapshot)
    return fault
