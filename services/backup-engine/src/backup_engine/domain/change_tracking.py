"""Whether a disk may be read by its changed areas only, or must be read in full, and why.

CBT is a hint that is never trusted: an incremental needs every condition below, anything else is a full read with its
reason stored, for that disk alone. Pure; `transports/planning.py` asks the host.
"""

from dataclasses import dataclass
from enum import StrEnum


class FullReason(StrEnum):
    """Why a disk is read in full; the values are stored with restore points."""

    NONE = "none"
    """It is not: incremental."""
    ASKED_FOR = "asked_for"
    NO_SNAPSHOT = "no_snapshot"
    """A template: it cannot have one, so there is nothing to ask changes between."""
    FIRST_POINT = "first_point"
    NEW_DISK = "new_disk"
    AMBIGUOUS_DISK = "ambiguous_disk"
    """Two disks carry one UUID."""
    RESIZED = "resized"
    TRACKING_OFF = "tracking_off"
    """The snapshot's disk has no changeId."""
    TRACKING_JUST_ENABLED = "tracking_just_enabled"
    """Until the next stun the host answers «nothing changed» to everything."""
    PARENT_UNTRACKED = "parent_untracked"
    TRACKING_RESTARTED = "tracking_restarted"
    """Another changeId UUID: off and on, or reset, since the parent."""
    TRACKING_WENT_BACK = "tracking_went_back"
    """A lower sequence number than the parent's: the VM was reverted."""
    TRACKING_STANDS_STILL = "tracking_stands_still"
    """The parent's very sequence number, though a snapshot was made since: tracking was enabled again without a stun,
    and the host would answer «nothing changed»."""
    CHANGE_ID_UNREADABLE = "change_id_unreadable"
    MACHINE_REPLACED = "machine_replaced"
    """Restored, cloned or registered anew since the parent."""
    FOREIGN_SNAPSHOT = "foreign_snapshot"
    """With another snapshot then or now, a revert in between cannot be ruled out."""
    QUERY_FAILED = "query_failed"
    QUERY_INCOMPLETE = "query_incomplete"
    """The answers do not prove that they cover the disk."""


@dataclass(frozen=True, slots=True)
class ParentDisk:
    """A disk as the last committed point recorded it."""

    key: int
    uuid: str | None
    capacity_bytes: int
    change_id: str | None


@dataclass(frozen=True, slots=True)
class ParentPoint:
    """The last committed point of the VM; what a failed job saw never gets here (D12)."""

    moid: str | None
    instance_uuid: str | None
    disks: tuple[ParentDisk, ...]
    foreign_snapshots: bool = False
    """Snapshots other than ours existed when it was made."""
    created_by_restore_since: bool = False
    """We know that the VM was restored over or reverted after it."""


@dataclass(frozen=True, slots=True)
class MachineNow:
    """The VM at this snapshot."""

    moid: str
    instance_uuid: str | None
    foreign_snapshots: bool
    tracking_just_enabled: bool
    """CBT was turned on in this very run."""


@dataclass(frozen=True, slots=True)
class DiskNow:
    """A disk of the *snapshot's* devices."""

    key: int
    uuid: str | None
    capacity_bytes: int
    change_id: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a disk.

    `parent` is the disk's own past, if it has one; `since` the changeId that may be asked with: for an incremental, or
    to check CBT against a full read that was asked for (D8).
    """

    reason: FullReason
    parent: ParentDisk | None
    since: str | None = None

    @property
    def incremental(self) -> bool:
        """Whether changed areas may be asked for."""
        return self.reason is FullReason.NONE


def decide(
    disk: DiskNow,
    disks: tuple[DiskNow, ...],
    machine: MachineNow,
    parent: ParentPoint | None,
    *,
    force_full: bool = False,
) -> Decision:
    """Judge one disk; the others do not suffer for it (D4, D11).

    `disks` are all disks of the snapshot, to notice two of one UUID.
    """
    if parent is None:
        return Decision(FullReason.FIRST_POINT, None)
    past, reason = _past_of(disk, disks, parent)
    if past is None:
        return Decision(reason, None)
    reason = _machine_doubt(machine, parent)
    if reason is FullReason.NONE:
        reason = _disk_doubt(disk, past)
    since = past.change_id if reason is FullReason.NONE else None
    return Decision(FullReason.ASKED_FOR if force_full and since else reason, past, since)


def _past_of(disk: DiskNow, disks: tuple[DiskNow, ...], parent: ParentPoint) -> tuple[ParentDisk | None, FullReason]:
    """By UUID, whatever controller or key it moved to; by key only where neither side has a UUID."""
    if disk.uuid is None:
        same = [past for past in parent.disks if past.uuid is None and past.key == disk.key]
    else:
        if sum(other.uuid == disk.uuid for other in disks) > 1:
            return None, FullReason.AMBIGUOUS_DISK
        same = [past for past in parent.disks if past.uuid == disk.uuid]
    if len(same) > 1:
        return None, FullReason.AMBIGUOUS_DISK
    return (same[0], FullReason.NONE) if same else (None, FullReason.NEW_DISK)


def _machine_doubt(machine: MachineNow, parent: ParentPoint) -> FullReason:
    if parent.created_by_restore_since or machine.instance_uuid != parent.instance_uuid or machine.moid != parent.moid:
        return FullReason.MACHINE_REPLACED
    if machine.tracking_just_enabled:
        return FullReason.TRACKING_JUST_ENABLED
    if machine.foreign_snapshots or parent.foreign_snapshots:
        return FullReason.FOREIGN_SNAPSHOT
    return FullReason.NONE


def _disk_doubt(disk: DiskNow, past: ParentDisk) -> FullReason:
    if disk.capacity_bytes != past.capacity_bytes:
        return FullReason.RESIZED
    if not disk.change_id or not past.change_id:
        return FullReason.PARENT_UNTRACKED if disk.change_id else FullReason.TRACKING_OFF
    return _change_id_doubt(_change_id(disk.change_id), _change_id(past.change_id))


def _change_id_doubt(now: tuple[str, int] | None, then: tuple[str, int] | None) -> FullReason:
    if now is None or then is None:
        return FullReason.CHANGE_ID_UNREADABLE
    if now[0] != then[0]:
        return FullReason.TRACKING_RESTARTED
    if now[1] == then[1]:
        return FullReason.TRACKING_STANDS_STILL
    return FullReason.TRACKING_WENT_BACK if now[1] < then[1] else FullReason.NONE


def _change_id(text: str) -> tuple[str, int] | None:
    """(UUID of the tracking run, sequence number) of `52 … /17`; None for anything else, `*` included."""
    run, slash, sequence = text.rpartition("/")
    if not slash or not run.strip() or not sequence.isascii() or not sequence.isdigit():
        return None
    return run.strip().lower(), int(sequence)
