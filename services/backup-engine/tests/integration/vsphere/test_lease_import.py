"""Restoring a VM by import lease: the same disks at the same places, or nothing at all."""

from dataclasses import replace

import pytest
from backup_engine.errors.hypervisor import HostUnreachable, HypervisorError, LeaseFailed, PlacementNotFound
from backup_engine.ports.hypervisor import ImportRequest
from backup_engine.ports.hypervisor_values import PowerState
from backup_engine.testing.chunking import read_chunks
from backup_engine.transports.planning import plan_disks

CHUNK = 4 << 20
TAG = "task-1.7"


async def backed_up(lab, session, moid: str = "1"):
    """Configuration, and per disk key its chunks as a reader stored them."""
    taken = await lab.snapshot(session, moid)
    vm = await session.virtual_machine(moid)
    disks = {}
    for plan in await plan_disks(session, vm, taken, None, our_prefix=lab.prefix):
        opened = await lab.open(session, moid, taken, plan)
        disks[plan.disk.key] = [(p.index * CHUNK, bytes(p.data)) async for p in read_chunks(opened.source, plan)]
        await opened.source.finish()
    digests = {key: await lab.sha256(moid, key, taken.moref) for key in disks}
    return await session.configuration(moid), disks, digests


async def chunks_of(blocks):
    for block in blocks:
        yield block


async def test_a_restored_machine_is_the_source_byte_for_byte_under_a_new_name_and_identity(lab_of) -> None:
    lab = await lab_of("web:32m:6m:24m:4m")
    session = await lab.connect()
    configuration, disks, digests = await backed_up(lab, session)
    lease = await session.import_machine(ImportRequest(configuration, "web restored", TAG))
    tagged = await session.tagged("task-1")
    assert [vm.task_tag for vm in tagged] == [TAG], "marked before the first byte"
    for key in lease.disk_keys:
        await lease.write_disk(key, chunks_of(disks[key]))
    moid = await lease.complete()
    await lease.close()
    restored, source = await session.virtual_machine(moid), await session.virtual_machine("1")
    assert (restored.name, restored.power_state) == ("web restored", PowerState.OFF)
    assert restored.instance_uuid != source.instance_uuid
    assert {key: await lab.sha256(moid, key) for key in digests} == digests
    await session.power_on(moid)
    assert (await session.virtual_machine(moid)).power_state is PowerState.ON


@pytest.mark.invariant("D56")
async def test_two_disks_of_equal_size_are_never_swapped_and_keep_place_mode_and_uuid(lab_of) -> None:
    lab = await lab_of("web:32m:4m:32m:8m")
    session = await lab.connect()
    configuration, disks, digests = await backed_up(lab, session)
    assert digests[2000] != digests[2001]
    lease = await session.import_machine(ImportRequest(configuration, "web-2", TAG))
    # The host lists its URLs in an order of its own.
    lease._lease.info.deviceUrl = list(reversed(lease._lease.info.deviceUrl))
    for key in reversed(lease.disk_keys):
        await lease.write_disk(key, chunks_of(disks[key]))
    moid = await lease.complete()
    places = [
        [(d.address, d.mode, d.uuid, d.capacity_bytes, d.thin) for d in (await session.virtual_machine(m)).disks]
        for m in ("1", moid)
    ]
    assert places[0] == places[1]
    assert {key: await lab.sha256(moid, key) for key in digests} == digests


@pytest.mark.invariant("D57")
async def test_a_thin_disk_stays_thin(lab) -> None:
    session = await lab.connect()
    configuration, disks, _ = await backed_up(lab, session)
    lease = await session.import_machine(ImportRequest(configuration, "web-2", TAG))
    await lease.write_disk(2000, chunks_of(disks[2000]))
    moid = await lease.complete()
    vms = {vm["moid"]: vm for vm in (await lab.control.get("/_sim/vms")).json()["results"]}
    source, restored = (vms[m]["disks"][0]["allocated_bytes"] for m in ("1", moid))
    assert restored <= source + (64 << 10) * 8


@pytest.mark.invariant("D61")
async def test_a_disk_that_is_no_multiple_of_a_chunk_or_grain_is_restored_to_its_last_sector(lab_of) -> None:
    lab = await lab_of()
    from simulators.esxi import DiskSpec, VmSpec

    size = 9 * CHUNK + 7 * 512
    await lab.esxi.simulator.add_vm(VmSpec("odd", (DiskSpec(size),)))
    await lab.control.put("/_sim/vms/1/disks/2000/bytes", params={"offset": size - 700}, content=b"\x5a" * 700)
    session = await lab.connect()
    configuration, disks, digests = await backed_up(lab, session)
    lease = await session.import_machine(ImportRequest(configuration, "odd-2", TAG))
    await lease.write_disk(2000, chunks_of(disks[2000]))
    assert await lab.sha256(await lease.complete(), 2000) == digests[2000]


@pytest.mark.invariant("D59")
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_an_import_that_is_given_up_at_any_point_leaves_no_machine_and_no_lease(lab, after) -> None:
    session = await lab.connect()
    configuration, disks, _ = await backed_up(lab, session)
    before = {vm.moid for vm in (await session.inventory()).virtual_machines}

    class Cancelled(Exception):
        pass

    async def cancelled_after(blocks):
        for number, block in enumerate(blocks):
            if number == after:
                raise Cancelled
            yield block
        raise Cancelled

    lease = await session.import_machine(ImportRequest(configuration, "web-2", TAG))
    with pytest.raises(Cancelled):
        await lease.write_disk(2000, cancelled_after(disks[2000]))
    await lease.close()
    await lease.close()
    assert {vm.moid for vm in (await session.inventory()).virtual_machines} == before
    assert (await lab.leases())[-1]["state"] == "error"


@pytest.mark.invariant("D59")
async def test_an_upload_that_the_host_cuts_fails_and_leaves_no_machine(lab) -> None:
    session = await lab.connect()
    configuration, disks, _ = await backed_up(lab, session)
    lease = await session.import_machine(ImportRequest(configuration, "web-2", TAG))
    await lab.faults({"match": "/nfc/*", "action": "cut", "after_bytes": 1 << 20})
    with pytest.raises(HypervisorError) as failed:
        await lease.write_disk(2000, chunks_of(disks[2000]))
    assert isinstance(failed.value, LeaseFailed | HostUnreachable)
    await lease.close()
    assert await session.tagged("task-1") == ()


@pytest.mark.invariant("D59")
async def test_a_machine_whose_disks_were_not_all_written_is_not_completed(lab) -> None:
    session = await lab.connect()
    configuration, _, _ = await backed_up(lab, session)
    lease = await session.import_machine(ImportRequest(configuration, "web-2", TAG))
    with pytest.raises(HypervisorError):
        await lease.complete()
    await lease.close()
    assert await session.tagged("task-1") == ()


@pytest.mark.invariant("D60")
async def test_a_missing_network_or_datastore_is_asked_for_and_a_mapping_is_used(lab) -> None:
    session = await lab.connect()
    configuration = await session.configuration("1")
    elsewhere = replace(configuration, cards=(replace(configuration.cards[0], network="Production"),))
    with pytest.raises(PlacementNotFound, match="network named Production"):
        await session.import_machine(ImportRequest(elsewhere, "web-2", TAG))
    with pytest.raises(PlacementNotFound, match="datastore named gone"):
        await session.import_machine(ImportRequest(configuration, "web-2", TAG, datastore="gone"))
    assert await lab.leases() == []
    mapped = ImportRequest(elsewhere, "web-2", TAG, networks={"Production": "VM Network"}, datastore="datastore1")
    lease = await session.import_machine(mapped)
    await lease.write_disk(2000, chunks_of([]))
    restored = await session.configuration(await lease.complete())
    assert restored.cards[0].network == "VM Network"


@pytest.mark.invariant("D60")
async def test_the_mac_address_is_made_anew_unless_it_is_to_be_kept(lab) -> None:
    session = await lab.connect()
    configuration = await session.configuration("1")
    macs = []
    for name, keep in (("a", False), ("b", True)):
        lease = await session.import_machine(ImportRequest(configuration, name, TAG, keep_mac=keep))
        await lease.write_disk(2000, chunks_of([]))
        macs.append((await session.configuration(await lease.complete())).cards[0].mac)
    assert macs[0] != configuration.cards[0].mac == macs[1]


async def test_a_name_that_is_taken_is_refused_and_changes_nothing(lab) -> None:
    session = await lab.connect()
    with pytest.raises(HypervisorError, match="DuplicateName"):
        await session.import_machine(ImportRequest(await session.configuration("1"), "web", TAG))
    assert len((await session.inventory()).virtual_machines) == 1
