"""Changed areas of a disk as the host tells them, paged to the end with coverage proven."""

from backup_engine.adapters.vsphere.faults import name_of, text_of
from backup_engine.adapters.vsphere.session import Session, read_properties
from backup_engine.adapters.vsphere.tasks import finished
from backup_engine.adapters.vsphere.vmodl import moid_of, vim, vmodl
from backup_engine.domain.extents import AreaPage, Coverage, CoverageDoubt, Extent
from backup_engine.errors.hypervisor import ChangeTrackingUnsupported, ChangeTrackingUnusable, VmNotFound

QUERY_SECONDS = 300.0
"""The host walks the tracking file of a large disk before it answers."""

_REFUSALS = (
    vim.fault.FileFault,
    vim.fault.NotFound,
    vmodl.fault.InvalidArgument,
    vmodl.fault.NotSupported,
    vmodl.fault.NotImplemented,
    vmodl.fault.MethodNotFound,
    vmodl.fault.SystemError,
)
"""«I cannot say»: the disk is read in full. Faults of session, licence or rights are not among them."""


async def enable(session: Session, moid: str) -> None:
    """Turn tracking on for all disks of a VM; it lives after the next stun. On already: nothing."""
    paths = ["capability.changeTrackingSupported", "config.changeTrackingEnabled", "name"]
    properties = (await read_properties(session, vim.VirtualMachine, [moid], paths)).get(moid)
    if properties is None:
        raise VmNotFound(moid=moid)
    if properties.get("config.changeTrackingEnabled"):
        return
    if not properties.get("capability.changeTrackingSupported"):
        raise ChangeTrackingUnsupported(moid=moid)
    machine = session.managed(vim.VirtualMachine, moid)
    spec = vim.vm.ConfigSpec(changeTrackingEnabled=True)
    task = await session.call("ReconfigVM_Task", lambda: machine.ReconfigVM_Task(spec=spec), changes=True)
    await finished(session, moid_of(task), "ReconfigVM", 300.0)


async def changed_areas(
    session: Session, moid: str, snapshot: str, disk_key: int, change_id: str, capacity_bytes: int
) -> tuple[Extent, ...]:
    """All areas changed between `change_id` and the snapshot, normalized (D1).

    Raises:
        ChangeTrackingUnusable: the host refuses, or its answers do not prove to cover the disk (D2, D4).
    """
    coverage = Coverage(capacity_bytes)
    try:
        while not coverage.complete:
            coverage.add(await _page(session, moid, snapshot, disk_key, change_id, coverage.next_offset))
        return coverage.extents()
    except CoverageDoubt as doubt:
        raise ChangeTrackingUnusable(reason=str(doubt), query="incomplete") from doubt


async def _page(session: Session, moid: str, snapshot: str, disk_key: int, change_id: str, start: int) -> AreaPage:
    machine = session.managed(vim.VirtualMachine, moid)
    frozen = session.managed(vim.vm.Snapshot, snapshot)
    try:
        answer = await session.call(
            "QueryChangedDiskAreas",
            lambda: machine.QueryChangedDiskAreas(
                snapshot=frozen, deviceKey=disk_key, startOffset=start, changeId=change_id
            ),
            seconds=QUERY_SECONDS,
            passing=_REFUSALS,
        )
    except _REFUSALS as refusal:
        raise ChangeTrackingUnusable(reason=f"{name_of(refusal)}: {text_of(refusal)}", query="failed") from refusal
    areas = tuple(Extent(area.start, area.length) for area in answer.changedArea or ())
    return AreaPage(answer.startOffset, answer.length, areas)
