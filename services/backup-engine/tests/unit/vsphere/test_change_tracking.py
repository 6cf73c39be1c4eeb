"""When changed areas may be asked for; every doubt is a full read of that disk alone."""

from dataclasses import replace

import pytest
from backup_engine.domain.change_tracking import (
    Decision,
    DiskNow,
    FullReason,
    MachineNow,
    ParentDisk,
    ParentPoint,
    decide,
)

RUN = "52 1f 0c aa 7d 2b 41 0e-8f 8c 1d 55 60 09 3a 11"
GIB = 1 << 30

PAST = ParentDisk(key=2000, uuid="disk-a", capacity_bytes=GIB, change_id=f"{RUN}/5")
PARENT = ParentPoint(moid="11", instance_uuid="vm-uuid", disks=(PAST,))
NOW = DiskNow(key=2000, uuid="disk-a", capacity_bytes=GIB, change_id=f"{RUN}/6")
MACHINE = MachineNow(moid="11", instance_uuid="vm-uuid", foreign_snapshots=False, tracking_just_enabled=False)


def judged(
    disk: DiskNow = NOW,
    machine: MachineNow = MACHINE,
    parent: ParentPoint | None = PARENT,
    others: tuple[DiskNow, ...] = (),
    force_full: bool = False,
) -> Decision:
    return decide(disk, (disk, *others), machine, parent, force_full=force_full)


def test_an_undisturbed_disk_is_asked_for_changes_since_the_committed_change_id() -> None:
    decision = judged()
    assert decision.incremental
    assert decision.since == f"{RUN}/5"


def test_without_a_committed_point_everything_is_read() -> None:
    assert judged(parent=None) == Decision(FullReason.FIRST_POINT, None)


@pytest.mark.invariant("D8")
def test_a_full_that_was_asked_for_can_still_be_checked_against_the_changes_named_since_its_parent() -> None:
    assert judged(force_full=True) == Decision(FullReason.ASKED_FOR, PAST, f"{RUN}/5")
    assert judged(replace(NOW, change_id=None), force_full=True) == Decision(FullReason.TRACKING_OFF, PAST)


@pytest.mark.invariant("D3")
def test_another_change_id_uuid_means_a_full_read() -> None:
    decision = judged(replace(NOW, change_id="52 00 00/9"))
    assert (decision.reason, decision.since) == (FullReason.TRACKING_RESTARTED, None)


@pytest.mark.invariant("D7")
def test_after_tracking_was_off_and_on_the_old_change_id_is_never_sent() -> None:
    for change_id in ("52 77 12 9a/1", None, ""):
        assert judged(replace(NOW, change_id=change_id)).since is None


@pytest.mark.invariant("D5")
@pytest.mark.parametrize("capacity", [GIB - 512, GIB + 512, 130 * GIB])
def test_a_resized_disk_is_read_in_full_either_way(capacity: int) -> None:
    assert judged(replace(NOW, capacity_bytes=capacity)).reason is FullReason.RESIZED


@pytest.mark.invariant("D6")
def test_tracking_enabled_in_this_run_is_not_believed_yet() -> None:
    decision = judged(machine=replace(MACHINE, tracking_just_enabled=True))
    assert (decision.reason, decision.since) == (FullReason.TRACKING_JUST_ENABLED, None)


@pytest.mark.invariant("D6")
def test_a_parent_point_made_before_tracking_lived_is_never_asked_with() -> None:
    parent = replace(PARENT, disks=(replace(PAST, change_id=None),))
    assert judged(parent=parent).reason is FullReason.PARENT_UNTRACKED


@pytest.mark.invariant("D13")
@pytest.mark.parametrize(
    ("machine", "parent", "reason"),
    [
        (replace(MACHINE, moid="12"), PARENT, FullReason.MACHINE_REPLACED),
        (replace(MACHINE, instance_uuid="other"), PARENT, FullReason.MACHINE_REPLACED),
        (MACHINE, replace(PARENT, created_by_restore_since=True), FullReason.MACHINE_REPLACED),
        (replace(MACHINE, foreign_snapshots=True), PARENT, FullReason.FOREIGN_SNAPSHOT),
        (MACHINE, replace(PARENT, foreign_snapshots=True), FullReason.FOREIGN_SNAPSHOT),
    ],
)
def test_a_restored_reverted_or_cloned_machine_is_read_in_full(
    machine: MachineNow, parent: ParentPoint, reason: FullReason
) -> None:
    assert judged(machine=machine, parent=parent).reason is reason


@pytest.mark.invariant("D13")
def test_a_sequence_number_that_went_back_betrays_a_revert() -> None:
    assert judged(replace(NOW, change_id=f"{RUN}/4")).reason is FullReason.TRACKING_WENT_BACK


@pytest.mark.invariant("D6")
@pytest.mark.invariant("D7")
def test_a_snapshot_that_did_not_advance_the_change_id_is_not_an_incremental() -> None:
    assert judged(replace(NOW, change_id=f"{RUN}/5")).reason is FullReason.TRACKING_STANDS_STILL


@pytest.mark.parametrize("change_id", ["*", "nonsense", "/3", f"{RUN}/x", f"{RUN}/-1", f"{RUN}/²"])
def test_a_change_id_that_cannot_be_read_is_not_used(change_id: str) -> None:
    assert judged(replace(NOW, change_id=change_id)).reason is FullReason.CHANGE_ID_UNREADABLE


@pytest.mark.invariant("D11")
def test_disks_are_known_by_uuid_so_that_others_stay_incremental() -> None:
    moved = replace(NOW, key=2017)
    added = DiskNow(key=2000, uuid="disk-b", capacity_bytes=GIB, change_id=f"{RUN}/1")
    assert judged(moved, others=(added,)).incremental
    assert judged(added, others=(moved,)).reason is FullReason.NEW_DISK


def test_two_disks_of_one_uuid_are_both_read_in_full() -> None:
    twin = replace(NOW, key=2001)
    assert judged(NOW, others=(twin,)).reason is FullReason.AMBIGUOUS_DISK


def test_disks_without_uuid_are_known_by_key() -> None:
    parent = replace(PARENT, disks=(replace(PAST, uuid=None),))
    assert judged(replace(NOW, uuid=None), parent=parent).incremental
    assert judged(replace(NOW, uuid=None, key=2001), parent=parent).reason is FullReason.NEW_DISK
