"""Reading a powered-off VM's file by ranges, and refusing whenever the file is not the disk."""

from dataclasses import replace

import pytest
from backup_engine.errors.hypervisor import (
    BackingChanged,
    DatastoreFileLocked,
    DatastoreFileMissing,
    DatastoreFileTooLarge,
    RangeRefused,
)
from backup_engine.transports.planning import Mode, plan_template
from backup_engine.transports.selection import Ladder, TransportMemory


async def incremental(lab, session, fraction: float = 0.03):
    """A powered-off VM with a parent's image, changes since, and the plan for them."""
    await session.enable_change_tracking("1")
    taken = await lab.snapshot(session, "1", 1)
    plan = await lab.plan(session, "1", taken)
    image = await lab.image((await lab.open(session, "1", taken, plan)).source, plan)
    parent = await lab.parent(session, "1", taken)
    await lab.remove(session, taken.moref)
    await lab.write("1", fraction, seed=21)
    await lab.power("1", "off")
    again = await lab.snapshot(session, "1", 2)
    return image, again, await lab.plan(session, "1", again, parent)


async def folder_calls(lab) -> list:
    return [call for call in await lab.calls() if call["name"].startswith("/folder/")]


async def test_an_incremental_of_a_powered_off_machine_reads_only_what_changed(lab) -> None:
    session = await lab.connect()
    image, taken, plan = await incremental(lab, session)
    opened = await lab.open(session, "1", taken, plan)
    assert (plan.mode, opened.transport) == (Mode.INCREMENTAL, "datastore")
    assert opened.reason == "reads only the areas that are wanted"
    restored = await lab.image(opened.source, plan, base=image)
    assert lab.digest(restored) == await lab.sha256("1", 2000, taken.moref) != lab.digest(image)
    assert 0 < opened.source.wire_bytes < plan.disk.capacity_bytes


async def test_a_first_full_of_a_powered_off_tracked_machine_skips_what_is_unallocated(lab) -> None:
    session = await lab.connect()
    _, taken, _ = await incremental(lab, session)
    plan = await lab.plan(session, "1", taken)
    opened = await lab.open(session, "1", taken, plan)
    assert (plan.mode, opened.transport) == (Mode.FULL, "datastore")
    assert lab.digest(await lab.image(opened.source, plan)) == await lab.sha256("1", 2000, taken.moref)
    assert opened.source.wire_bytes < plan.disk.capacity_bytes


@pytest.mark.invariant("D17")
async def test_with_a_users_snapshot_the_file_is_not_read_and_the_guests_view_comes_by_lease(lab) -> None:
    session = await lab.connect()
    await session.create_snapshot("1", name="before update", description="", quiesce=False)
    await lab.write("1", 0.05, seed=8)
    await lab.power("1", "off")
    view = await lab.sha256("1", 2000)
    taken = await lab.snapshot(session, "1", 2)
    plan = await lab.plan(session, "1", taken)
    opened = await lab.open(session, "1", taken, plan)
    assert opened.transport == "lease"
    assert "another snapshot" in opened.refused["datastore"]
    assert lab.digest(await lab.image(opened.source, plan)) == view


async def test_a_machine_that_was_powered_on_meanwhile_discards_the_disk(lab) -> None:
    session = await lab.connect()
    _, taken, plan = await incremental(lab, session)
    opened = await lab.open(session, "1", taken, plan)
    await opened.source.pread(0, 4096)
    await lab.power("1", "on")
    with pytest.raises(BackingChanged, match="power state"):
        await opened.source.finish()


async def test_a_snapshot_taken_by_a_user_meanwhile_discards_the_disk(lab) -> None:
    session = await lab.connect()
    _, taken, plan = await incremental(lab, session)
    opened = await lab.open(session, "1", taken, plan)
    await session.create_snapshot("1", name="by hand", description="", quiesce=False)
    with pytest.raises(BackingChanged, match="list of snapshots"):
        await opened.source.finish()


@pytest.mark.invariant("D37")
@pytest.mark.parametrize("status", [423, 500])
async def test_a_locked_answer_moves_on_to_the_next_transport_and_is_remembered(lab, status) -> None:
    session = await lab.connect()
    _, taken, plan = await incremental(lab, session)
    await lab.faults({"match": "/folder/*", "action": "status", "status": status, "body": "Failed to lock the file"})
    vm, ladder = await session.virtual_machine("1"), Ladder(session, TransportMemory())
    opened = await ladder.open(vm, taken.moref, plan, our_prefix=lab.prefix)
    assert opened.transport == "lease"
    assert "locked" in opened.refused["datastore"]
    asked = len(await folder_calls(lab))
    again = await ladder.open(vm, taken.moref, plan, our_prefix=lab.prefix)
    assert again.refused["datastore"].startswith("refused earlier")
    assert len(await folder_calls(lab)) == asked
    assert lab.digest(await lab.image(again.source, plan)) == await lab.sha256("1", 2000, taken.moref)


@pytest.mark.invariant("D37")
async def test_a_lock_in_the_middle_of_a_disk_is_remembered_when_told(lab) -> None:
    session = await lab.connect()
    _, taken, plan = await incremental(lab, session)
    vm, ladder = await session.virtual_machine("1"), Ladder(session, TransportMemory())
    opened = await ladder.open(vm, taken.moref, plan, our_prefix=lab.prefix)
    await lab.faults({"match": "/folder/*", "action": "status", "status": 500})
    with pytest.raises(DatastoreFileLocked) as locked:
        await lab.image(opened.source, plan)
    ladder.refused(opened, locked.value)
    assert (await ladder.open(vm, taken.moref, plan, our_prefix=lab.prefix)).transport == "lease"


@pytest.mark.invariant("D36")
@pytest.mark.parametrize("header", ["bytes 0-4094/100", "bytes 1-4096/100", "bytes 0-4095/*", "", "items 0-4095/9"])
async def test_an_answer_for_another_range_is_rejected(lab, monkeypatch, header) -> None:
    from backup_engine.adapters.vsphere.datastore_files import _checked_range

    with pytest.raises(RangeRefused):
        _checked_range(header, 0, 4096)
    assert _checked_range("bytes 0-4095/8192", 0, 4096) == 8192


@pytest.mark.invariant("D36")
async def test_the_whole_file_in_answer_to_a_range_is_rejected(lab) -> None:
    session = await lab.connect()
    await lab.power("1", "off")
    await lab.faults({"match": "/folder/*", "action": "status", "status": 200, "body": "x" * 4096})
    with pytest.raises(RangeRefused, match="200 instead of 206"):
        await session.files.read("[datastore1] web/web-flat.vmdk", 0, 4096)


async def test_small_files_are_read_whole_up_to_a_limit_and_missing_ones_are_missing(lab) -> None:
    session = await lab.connect()
    assert b"displayName" in await session.files.read_whole("[datastore1] web/web.vmx", 1 << 20)
    with pytest.raises(DatastoreFileTooLarge):
        await session.files.read_whole("[datastore1] web/web.vmx", 10)
    with pytest.raises(DatastoreFileMissing):
        await session.files.size("[datastore1] web/none.vmdk")


@pytest.mark.invariant("D23")
async def test_an_expired_session_is_renewed_for_file_reads_too(lab) -> None:
    session = await lab.connect()
    await lab.expire_sessions()
    assert await session.files.size("[datastore1] web/web.vmx") > 0


async def test_a_host_that_is_overloaded_is_asked_again(lab) -> None:
    session = await lab.connect()
    await lab.faults({"match": "/folder/*", "action": "status", "status": 503, "times": 2})
    assert await session.files.size("[datastore1] web/web.vmx") > 0


@pytest.mark.invariant("D22")
async def test_a_template_is_read_without_a_snapshot(lab) -> None:
    session = await lab.connect()
    await lab.power("1", "off")
    lab.esxi.simulator.host.vms["1"].template = True
    vm = await session.virtual_machine("1")
    assert vm.is_template
    (plan,) = plan_template(vm, None)
    opened = await Ladder(session, TransportMemory()).open(vm, None, plan, our_prefix=lab.prefix)
    assert (opened.transport, opened.refused) == ("datastore", {"lease": "it needs a snapshot"})
    assert lab.digest(await lab.image(opened.source, plan)) == await lab.sha256("1", 2000)


@pytest.mark.invariant("D26")
async def test_a_disk_whose_file_moved_is_not_read_by_its_old_path(lab) -> None:
    session = await lab.connect()
    _, taken, plan = await incremental(lab, session)
    moved = replace(plan, disk=replace(plan.disk, file="[datastore1] elsewhere/web.vmdk"))
    opened = await lab.open(session, "1", taken, moved)
    assert opened.transport == "lease"
    assert "disk file changed" in opened.refused["datastore"]


@pytest.mark.invariant("D27")
async def test_names_with_odd_signs_are_encoded_and_the_right_machine_is_read(lab_of) -> None:
    from simulators.esxi import DiskSpec, VmSpec

    odd = "wéb #1 [50%] & co"
    small = (DiskSpec(32 << 20, 4 << 20),)
    specs = [VmSpec(odd, small, seed=1, running=False), VmSpec("web", small, seed=2, running=False)]
    lab = await lab_of(*specs, datastores=("däta 1",))
    session = await lab.connect()
    vm = next(vm for vm in (await session.inventory()).virtual_machines if vm.name == odd)
    taken = await lab.snapshot(session, vm.moid)
    plan = await lab.plan(session, vm.moid, taken)
    from backup_engine.transports.datastore import open_source

    source = await open_source(session, vm.moid, taken.moref, plan.disk, lab.prefix)
    assert lab.digest(await lab.image(source, plan)) == await lab.sha256(vm.moid, 2000, taken.moref)
