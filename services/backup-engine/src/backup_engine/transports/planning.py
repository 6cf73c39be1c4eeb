"""What to read of each disk: the decision of `domain.change_tracking`, then the host's answer to it."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from backup_engine.domain.change_tracking import (
    Decision,
    DiskNow,
    FullReason,
    MachineNow,
    ParentDisk,
    ParentPoint,
    decide,
)
from backup_engine.domain.extents import Extent
from backup_engine.errors.hypervisor import ChangeTrackingUnusable
from backup_engine.ports.hypervisor import Hypervisor
from backup_engine.ports.hypervisor_values import Disk, SnapshotTaken, VirtualMachine

ALLOCATED = "*"
"""changeId that asks for allocated areas instead of changed ones."""

_ALLOCATION_BELIEVED = frozenset({FullReason.FIRST_POINT, FullReason.NEW_DISK, FullReason.MACHINE_REPLACED})
"""Full reads that may skip what the host calls unallocated. Where tracking itself is in doubt, all is read."""


class Mode(StrEnum):
    """How a disk of a restore point was read."""

    FULL = "full"
    INCREMENTAL = "incremental"


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """What to read of one disk, and why."""

    disk: Disk
    mode: Mode
    reason: FullReason
    """Why it is full; NONE for an incremental."""
    detail: str
    """The host's own words where it refused; else empty."""
    extents: tuple[Extent, ...] | None
    """Areas worth reading: changed (incremental) or allocated (full). None: the whole disk."""
    claimed: tuple[Extent, ...] | None
    """What CBT says changed since the parent, to be checked by a transport that reads everything (D8)."""
    parent: ParentDisk | None

    @property
    def change_id(self) -> str | None:
        """To be stored with the point; the snapshot's, so that nothing between is lost."""
        return self.disk.change_id


async def plan_disks(
    hypervisor: Hypervisor,
    vm: VirtualMachine,
    snapshot: SnapshotTaken,
    parent: ParentPoint | None,
    *,
    our_prefix: str,
    tracking_just_enabled: bool = False,
    force_full: bool = False,
) -> tuple[DiskPlan, ...]:
    """Plan every disk of a snapshot; what goes wrong with one leaves the others as they are (D4).

    Args:
        hypervisor: session to ask.
        vm: as read now, after the snapshot was made.
        snapshot: ours.
        parent: the last committed point, whatever failed since (D12).
        our_prefix: snapshots named so are ours; any other is foreign.
        tracking_just_enabled: this run turned CBT on.
        force_full: read everything, and check CBT by it.
    """
    machine = MachineNow(
        moid=vm.moid,
        instance_uuid=vm.instance_uuid,
        foreign_snapshots=bool(vm.foreign_snapshots(our_prefix)),
        tracking_just_enabled=tracking_just_enabled,
    )
    disks = tuple(_now(disk) for disk in snapshot.disks)
    return tuple(
        await asyncio.gather(
            *(
                _plan(
                    hypervisor,
                    vm.moid,
                    snapshot.moref,
                    disk,
                    decide(_now(disk), disks, machine, parent, force_full=force_full),
                )
                for disk in snapshot.disks
            )
        )
    )


def plan_template(vm: VirtualMachine, parent: ParentPoint | None) -> tuple[DiskPlan, ...]:
    """A template is off for good and cannot have a snapshot: its own disks are read whole (D22)."""
    past = {disk.uuid: disk for disk in parent.disks} if parent else {}
    return tuple(
        DiskPlan(disk, Mode.FULL, FullReason.NO_SNAPSHOT, "", None, None, past.get(disk.uuid) if disk.uuid else None)
        for disk in vm.disks
        if not disk.independent and not disk.is_rdm
    )


async def _plan(hypervisor: Hypervisor, moid: str, snapshot: str, disk: Disk, decision: Decision) -> DiskPlan:
    if decision.since is not None:
        try:
            changed = await hypervisor.changed_areas(moid, snapshot, disk.key, decision.since, disk.capacity_bytes)
        except ChangeTrackingUnusable as refusal:
            incomplete = refusal.fields.get("query") == "incomplete"
            reason = FullReason.QUERY_INCOMPLETE if incomplete else FullReason.QUERY_FAILED
            return DiskPlan(disk, Mode.FULL, reason, str(refusal.fields["reason"]), None, None, decision.parent)
        if decision.incremental:
            return DiskPlan(disk, Mode.INCREMENTAL, decision.reason, "", changed, changed, decision.parent)
        return DiskPlan(disk, Mode.FULL, decision.reason, "", None, changed, decision.parent)
    allocated = await _allocated(hypervisor, moid, snapshot, disk, decision)
    return DiskPlan(disk, Mode.FULL, decision.reason, "", allocated, None, decision.parent)


async def _allocated(
    hypervisor: Hypervisor, moid: str, snapshot: str, disk: Disk, decision: Decision
) -> tuple[Extent, ...] | None:
    """Allocated areas of a thin disk; None where the host cannot say (D9)."""
    if decision.reason not in _ALLOCATION_BELIEVED or not disk.thin or not disk.change_id:
        return None
    try:
        return await hypervisor.changed_areas(moid, snapshot, disk.key, ALLOCATED, disk.capacity_bytes)
    except ChangeTrackingUnusable:
        return None


def _now(disk: Disk) -> DiskNow:
    return DiskNow(disk.key, disk.uuid, disk.capacity_bytes, disk.change_id)
