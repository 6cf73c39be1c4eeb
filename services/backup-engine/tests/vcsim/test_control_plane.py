"""What we ask of a host without reading a disk: another implementation of vSphere's wire understands it as we mean it."""

import asyncio
from dataclasses import replace

import pytest
from backup_engine.errors.hypervisor import (
    CertificateChanged,
    ChangeTrackingUnsupported,
    ChangeTrackingUnusable,
    HypervisorLoginRefused,
    SnapshotNotFound,
    VmNotFound,
)
from backup_engine.ports.hypervisor_values import Credentials, PowerState

PREFIX = "ebm-test-"


async def removed(session, moref: str) -> None:
    """Remove a snapshot and wait for the end of its task."""
    task = await session.start_snapshot_removal(moref)
    while not (state := await session.task_state(task)).ended:
        await asyncio.sleep(0.01)
    assert state.error is None


async def test_a_login_says_who_is_there_and_pins_its_certificate(lab, session) -> None:
    about = await session.about()
    assert about.api_version.startswith("6.")
    assert about.is_vcenter == lab.is_vcenter
    assert len(session.thumbprint) == 64


async def test_a_wrong_password_is_refused(lab) -> None:
    with pytest.raises(HypervisorLoginRefused):
        await lab.connector.connect(lab.endpoint, Credentials("backup", "wrong"))


@pytest.mark.invariant("D28")
async def test_another_certificate_than_the_pinned_one_stops_the_login(lab) -> None:
    with pytest.raises(CertificateChanged):
        await lab.connector.connect(replace(lab.endpoint, thumbprint="ab" * 32), lab.credentials)


async def test_the_inventory_lists_machines_disks_datastores_networks_and_hosts(session) -> None:
    inventory = await session.inventory()
    assert len(inventory.virtual_machines) >= 2
    for machine in inventory.virtual_machines:
        assert machine.power_state is PowerState.ON
        assert not machine.has_snapshots
        assert all(disk.capacity_bytes > 0 and disk.file.startswith("[LocalDS_0]") for disk in machine.disks)
    assert [store.name for store in inventory.datastores] == ["LocalDS_0"]
    assert "VM Network" in {network.name for network in inventory.networks}
    assert inventory.hosts


async def test_an_inventory_of_several_pages_is_complete(lab_of) -> None:
    session = await (await lab_of("-machines", "120")).connect()
    assert len({machine.moid for machine in (await session.inventory()).virtual_machines}) == 120


async def test_a_machine_that_is_gone_is_not_found(session) -> None:
    with pytest.raises(VmNotFound):
        await session.virtual_machine("vm-4711")


async def test_ten_sessions_read_at_once(lab) -> None:
    sessions = await asyncio.gather(*(lab.connect() for _ in range(10)))
    found = await asyncio.gather(*(session.inventory() for session in sessions))
    assert len({len(inventory.virtual_machines) for inventory in found}) == 1


@pytest.mark.parametrize("quiesce", [False, True])
async def test_a_snapshot_is_made_found_and_removed(session, moid: str, quiesce: bool) -> None:
    taken = await session.create_snapshot(moid, name=f"{PREFIX}1.1", description="test", quiesce=quiesce)
    assert taken.quiesced is quiesce
    assert [disk.key for disk in taken.disks] == [disk.key for disk in (await session.virtual_machine(moid)).disks]
    assert await session.snapshot_exists(taken.moref)
    (found,) = await session.snapshots(moid, prefix=PREFIX)
    assert (found.moref, found.name, found.description) == (taken.moref, f"{PREFIX}1.1", "test")
    assert (await session.virtual_machine(moid)).current_snapshot == taken.moref
    await removed(session, taken.moref)
    assert not await session.snapshot_exists(taken.moref)
    assert await session.snapshots(moid) == ()


async def test_removing_a_snapshot_keeps_its_children(session, moid: str) -> None:
    first = await session.create_snapshot(moid, name=f"{PREFIX}1.1", description="", quiesce=False)
    second = await session.create_snapshot(moid, name="somebody's own", description="", quiesce=False)
    listed = await session.snapshots(moid)
    assert [(ref.moref, ref.parent_moref) for ref in listed] == [(first.moref, None), (second.moref, first.moref)]
    assert [ref.moref for ref in await session.snapshots(moid, prefix=PREFIX)] == [first.moref]
    await removed(session, first.moref)
    assert [(ref.moref, ref.parent_moref) for ref in await session.snapshots(moid)] == [(second.moref, None)]


async def test_a_snapshot_that_is_gone_is_not_found(session, moid: str) -> None:
    taken = await session.create_snapshot(moid, name=f"{PREFIX}1.1", description="", quiesce=False)
    await removed(session, taken.moref)
    with pytest.raises(SnapshotNotFound):
        await session.snapshot_disks(taken.moref)
    with pytest.raises(SnapshotNotFound):
        await session.start_snapshot_removal(taken.moref)


async def test_power_is_switched_once_and_asked_twice(session, moid: str) -> None:
    for _ in range(2):
        await session.power_off(moid)
        assert (await session.virtual_machine(moid)).power_state is PowerState.OFF
    for _ in range(2):
        await session.power_on(moid)
        assert (await session.virtual_machine(moid)).power_state is PowerState.ON


async def test_a_machine_is_marked_found_by_its_mark_and_destroyed(session, moid: str) -> None:
    await session.tag(moid, "task-9.3")
    assert [machine.moid for machine in await session.tagged("task-9")] == [moid]
    assert await session.tagged("task") == ()
    await session.destroy(moid)
    await session.destroy(moid)
    assert moid not in {machine.moid for machine in (await session.inventory()).virtual_machines}


async def test_a_machine_s_configuration_is_read(session, moid: str) -> None:
    found = await session.configuration(moid)
    machine = await session.virtual_machine(moid)
    assert (found.name, found.uuid) == (machine.name, machine.uuid)
    assert [disk.key for disk in found.disks] == [disk.key for disk in machine.disks]
    assert found.cpus >= 1
    assert found.memory_mib > 0


async def test_change_tracking_is_turned_on_where_the_machine_can(lab_of) -> None:
    session = await (await lab_of("-change-tracking")).connect()
    machine = (await session.inventory()).virtual_machines[0]
    assert (machine.change_tracking_supported, machine.change_tracking_enabled) == (True, False)
    for _ in range(2):
        await session.enable_change_tracking(machine.moid)
        assert (await session.virtual_machine(machine.moid)).change_tracking_enabled


async def test_change_tracking_is_refused_by_name_where_the_machine_cannot(session, moid: str) -> None:
    with pytest.raises(ChangeTrackingUnsupported):
        await session.enable_change_tracking(moid)
    assert not (await session.virtual_machine(moid)).change_tracking_enabled


async def test_a_host_that_answers_no_changed_areas_is_a_doubt_not_a_failure(session, moid: str) -> None:
    taken = await session.create_snapshot(moid, name=f"{PREFIX}1.1", description="", quiesce=False)
    disk = taken.disks[0]
    with pytest.raises(ChangeTrackingUnusable):
        await session.changed_areas(moid, taken.moref, disk.key, "*", disk.capacity_bytes)
