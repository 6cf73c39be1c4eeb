"""Snapshots and change tracking against a host that answers as vSphere does, traps included."""

from dataclasses import replace

import pytest
from backup_engine.domain.change_tracking import FullReason
from backup_engine.domain.extents import chunks_of, size_of
from backup_engine.errors.hypervisor import ChangeTrackingUnusable, SnapshotNotFound
from backup_engine.ports.hypervisor_values import TaskPhase
from backup_engine.transports.planning import Mode, plan_disks


async def tracked(lab, session, moid: str = "1"):
    """CBT enabled and alive: the parent point, its snapshot removed."""
    await session.enable_change_tracking(moid)
    await lab.remove(session, (await lab.snapshot(session, moid, 0)).moref)
    taken = await lab.snapshot(session, moid, 1)
    parent = await lab.parent(session, moid, taken)
    await lab.remove(session, taken.moref)
    return parent


async def test_snapshots_are_found_by_our_name_looked_at_and_removed_once(lab) -> None:
    session = await lab.connect()
    theirs = await session.create_snapshot("1", name="before update", description="", quiesce=False)
    ours = await lab.snapshot(session, "1")
    assert [s.moref for s in await session.snapshots("1", prefix=lab.prefix)] == [ours.moref]
    vm = await session.virtual_machine("1")
    assert [s.moref for s in vm.foreign_snapshots(lab.prefix)] == [theirs.moref]
    assert await session.snapshot_exists(ours.moref)
    await lab.remove(session, ours.moref)
    assert not await session.snapshot_exists(ours.moref)
    with pytest.raises(SnapshotNotFound):
        await session.start_snapshot_removal(ours.moref)
    with pytest.raises(SnapshotNotFound):
        await session.snapshot_disks(ours.moref)
    assert await session.snapshot_exists(theirs.moref)
    assert (await session.task_state("haTask-unknown-1")).phase is TaskPhase.GONE


async def test_a_quiesced_snapshot_says_so_only_when_the_guest_was(lab) -> None:
    session = await lab.connect()
    assert (await session.create_snapshot("1", name=f"{lab.prefix}1.1", description="", quiesce=True)).quiesced
    await lab.power("1", "off")
    assert not (await session.create_snapshot("1", name=f"{lab.prefix}2.1", description="", quiesce=True)).quiesced


@pytest.mark.invariant("D1")
async def test_pages_of_changed_areas_are_asked_for_until_the_disk_is_covered(lab) -> None:
    session = await lab.connect()
    parent = await tracked(lab, session)
    await lab.write("1", 0.2, seed=5)
    taken = await lab.snapshot(session, "1", 2)
    disk, since = taken.disks[0], parent.disks[0].change_id
    whole = await session.changed_areas("1", taken.moref, disk.key, since, disk.capacity_bytes)
    await lab.faults({"match": "QueryChangedDiskAreas", "action": "page_size", "extents": 3})
    before = len(await lab.calls("QueryChangedDiskAreas"))
    paged = await session.changed_areas("1", taken.moref, disk.key, since, disk.capacity_bytes)
    assert paged == whole
    assert len(await lab.calls("QueryChangedDiskAreas")) - before >= len(whole) // 3 > 1


async def test_an_incremental_reads_a_superset_of_what_the_guest_wrote(lab) -> None:
    session = await lab.connect()
    parent = await tracked(lab, session)
    await lab.write("1", 0.05, seed=7)
    taken = await lab.snapshot(session, "1", 2)
    plan = await lab.plan(session, "1", taken, parent)
    assert (plan.mode, plan.reason) == (Mode.INCREMENTAL, FullReason.NONE)
    assert 0 < size_of(plan.extents) < plan.disk.capacity_bytes / 2
    assert plan.change_id == taken.disks[0].change_id != parent.disks[0].change_id


@pytest.mark.invariant("D4")
@pytest.mark.parametrize("fault", ["FileFault", "InvalidArgument"])
async def test_a_refused_query_makes_only_that_disk_full(lab_of, fault) -> None:
    lab = await lab_of("web:32m:4m:16m:0")
    session = await lab.connect()
    parent = await tracked(lab, session)
    taken = await lab.snapshot(session, "1", 2)
    await lab.faults({"match": "QueryChangedDiskAreas", "action": "fault", "fault": fault, "times": 1})
    vm = await session.virtual_machine("1")
    plans = await plan_disks(session, vm, taken, parent, our_prefix=lab.prefix)
    assert sorted(plan.mode for plan in plans) == [Mode.FULL, Mode.INCREMENTAL]
    full = next(plan for plan in plans if plan.mode is Mode.FULL)
    assert full.reason is FullReason.QUERY_FAILED
    assert fault in full.detail


@pytest.mark.invariant("D3")
@pytest.mark.invariant("D7")
async def test_tracking_that_was_off_and_on_is_never_asked_with_the_old_change_id(lab) -> None:
    session = await lab.connect()
    parent = await tracked(lab, session)
    machine = lab.esxi.simulator.host.vms["1"]
    for enabled in (False, True):
        machine.cbt = enabled
        machine.disks[0].disk.tracker.request(enabled=enabled)
    await lab.write("1", 0.05, seed=3)
    taken = await lab.snapshot(session, "1", 2)
    before = len(await lab.calls("QueryChangedDiskAreas"))
    plan = await lab.plan(session, "1", taken, parent)
    assert (plan.mode, plan.reason) == (Mode.FULL, FullReason.TRACKING_RESTARTED)
    assert len(await lab.calls("QueryChangedDiskAreas")) == before


@pytest.mark.invariant("D6")
@pytest.mark.invariant("D7")
async def test_a_host_that_says_nothing_changed_before_the_stun_is_not_believed(lab) -> None:
    session = await lab.connect()
    parent = await tracked(lab, session)
    await lab.power("1", "off")
    machine = lab.esxi.simulator.host.vms["1"]
    for enabled in (False, True):
        machine.cbt = enabled
        machine.disks[0].disk.tracker.request(enabled=enabled)
    await lab.write("1", 0.05, seed=3)
    taken = await lab.snapshot(session, "1", 2)
    disk, since = taken.disks[0], parent.disks[0].change_id
    # The trap is real: the old changeId is still shown, and the answer to it is empty.
    assert await session.changed_areas("1", taken.moref, disk.key, since, disk.capacity_bytes) == ()
    plan = await lab.plan(session, "1", taken, parent)
    assert (plan.mode, plan.reason) == (Mode.FULL, FullReason.TRACKING_STANDS_STILL)


@pytest.mark.invariant("D6")
async def test_the_run_that_enables_tracking_reads_in_full_and_the_next_is_incremental(lab) -> None:
    session = await lab.connect()
    first = await lab.snapshot(session, "1", 0)
    untracked = await lab.parent(session, "1", first)
    await lab.remove(session, first.moref)
    await session.enable_change_tracking("1")
    second = await lab.snapshot(session, "1", 1)
    plan = await lab.plan(session, "1", second, untracked, tracking_just_enabled=True)
    assert (plan.mode, plan.reason) == (Mode.FULL, FullReason.TRACKING_JUST_ENABLED)
    parent = await lab.parent(session, "1", second)
    await lab.remove(session, second.moref)
    third = await lab.snapshot(session, "1", 2)
    assert (await lab.plan(session, "1", third, parent)).mode is Mode.INCREMENTAL


@pytest.mark.invariant("D5")
async def test_a_resized_disk_is_planned_in_full_with_its_new_capacity(lab) -> None:
    session = await lab.connect()
    parent = await tracked(lab, session)
    lab.esxi.simulator.host.vms["1"].disks[0].disk.extend(128 << 20)
    taken = await lab.snapshot(session, "1", 2)
    plan = await lab.plan(session, "1", taken, parent)
    assert (plan.mode, plan.reason) == (Mode.FULL, FullReason.RESIZED)
    assert plan.disk.capacity_bytes == 128 << 20


@pytest.mark.invariant("D12")
async def test_after_a_failed_job_the_committed_change_id_still_covers_everything(lab) -> None:
    session = await lab.connect()
    parent = await tracked(lab, session)
    await lab.write("1", 0.05, seed=11)
    failed = await lab.snapshot(session, "1", 2)
    planned_then = await lab.plan(session, "1", failed, parent)
    await lab.remove(session, failed.moref)
    taken = await lab.snapshot(session, "1", 3)
    plan = await lab.plan(session, "1", taken, parent)
    chunks = [set(chunks_of(p.extents, p.disk.capacity_bytes, 4 << 20)) for p in (planned_then, plan)]
    assert plan.mode is Mode.INCREMENTAL
    assert chunks[0] and chunks[0] <= chunks[1]


@pytest.mark.invariant("D13")
async def test_a_reverted_machine_is_read_in_full(lab) -> None:
    session = await lab.connect()
    await session.enable_change_tracking("1")
    await lab.remove(session, (await lab.snapshot(session, "1", 0)).moref)
    theirs = await session.create_snapshot("1", name="before update", description="", quiesce=False)
    taken = await lab.snapshot(session, "1", 1)
    parent = await lab.parent(session, "1", taken)
    await lab.remove(session, taken.moref)
    host = lab.esxi.simulator.host
    from simulators.esxi.model import operations

    await operations.revert(host, host.vms["1"], host.vms["1"].snapshot(theirs.moref))
    again = await lab.snapshot(session, "1", 2)
    plan = await lab.plan(session, "1", again, parent)
    assert plan.mode is Mode.FULL
    assert plan.reason is FullReason.FOREIGN_SNAPSHOT
    calm = replace(parent, foreign_snapshots=False)
    await lab.remove(session, theirs.moref)
    assert (await lab.plan(session, "1", again, calm)).reason is FullReason.TRACKING_RESTARTED


@pytest.mark.parametrize(
    "rule",
    [
        {"match": "QueryChangedDiskAreas", "action": "fault", "fault": "FileFault"},
        {"match": "QueryChangedDiskAreas", "action": "whole_disk"},
    ],
)
async def test_where_allocation_cannot_be_asked_zero_chunks_still_come_as_zero(lab, rule) -> None:
    session = await lab.connect()
    await tracked(lab, session)
    await lab.power("1", "off")
    taken = await lab.snapshot(session, "1", 2)
    await lab.faults(rule)
    plan = await lab.plan(session, "1", taken)
    assert (plan.mode, plan.reason) == (Mode.FULL, FullReason.FIRST_POINT)
    opened = await lab.open(session, "1", taken, plan)
    from backup_engine.testing.chunking import read_chunks

    pieces = [piece async for piece in read_chunks(opened.source, plan)]
    assert all(piece.data is None or any(piece.data) for piece in pieces)
    again = await lab.open(session, "1", taken, plan)
    assert lab.digest(await lab.image(again.source, plan)) == await lab.sha256("1", 2000, taken.moref)


async def test_a_full_read_differs_only_where_change_tracking_says_so(lab) -> None:
    session = await lab.connect()
    await session.enable_change_tracking("1")
    await lab.remove(session, (await lab.snapshot(session, "1", 0)).moref)
    taken = await lab.snapshot(session, "1", 1)
    first = await lab.plan(session, "1", taken)
    before = await lab.image((await lab.open(session, "1", taken, first)).source, first)
    parent = await lab.parent(session, "1", taken)
    await lab.remove(session, taken.moref)
    await lab.write("1", 0.3, seed=2)
    taken = await lab.snapshot(session, "1", 2)
    await lab.faults({"match": "QueryChangedDiskAreas", "action": "fault", "fault": "FileFault", "times": 0})
    plan = await lab.plan(session, "1", taken, parent, force_full=True)
    assert (plan.mode, plan.reason) == (Mode.FULL, FullReason.ASKED_FOR)
    after = await lab.image((await lab.open(session, "1", taken, plan)).source, plan)
    chunk = 4 << 20
    changed = [n for n in range(len(after) // chunk) if before[n * chunk :][:chunk] != after[n * chunk :][:chunk]]
    assert changed
    assert set(changed) <= set(chunks_of(plan.claimed, len(after), chunk))
    assert lab.digest(after) == await lab.sha256("1", 2000, taken.moref)


async def test_a_host_that_knows_no_change_tracking_is_a_doubt_not_a_failure(lab) -> None:
    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    with pytest.raises(ChangeTrackingUnusable):
        await session.changed_areas("1", taken.moref, 2000, "52 00/1", taken.disks[0].capacity_bytes)
