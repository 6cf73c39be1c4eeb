"""Reading by lease: the running VM's snapshot, byte for byte, or an error."""

import asyncio
from contextlib import aclosing

import pytest
from backup_engine.adapters.vsphere import lease as lease_module
from backup_engine.adapters.vsphere.lease import device_of_slot, resolve_url
from backup_engine.domain.change_tracking import FullReason
from backup_engine.errors.hypervisor import (
    DiskStreamDamaged,
    HostNotAllowed,
    HypervisorError,
    LeaseDiskUnidentified,
    LeaseFailed,
    NoTransport,
)
from backup_engine.transports.lease import LeaseSource
from backup_engine.transports.planning import Mode


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch) -> None:
    monkeypatch.setattr("backup_engine.transports.lease.RETRY_SECONDS", 0.01)


def source_of(session, taken) -> LeaseSource:
    return LeaseSource(session, taken.moref, taken.disks[0], retry_seconds=0.01)


async def read_to_the_end(source: LeaseSource) -> None:
    async with aclosing(source.stream()) as blocks:
        async for _ in blocks:
            pass


async def test_a_running_machine_is_read_as_it_was_at_the_snapshot_while_its_guest_writes(lab) -> None:
    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    await lab.write("1", 0.2, seed=1)
    plan = await lab.plan(session, "1", taken)
    assert (plan.mode, plan.reason) == (Mode.FULL, FullReason.FIRST_POINT)
    opened = await lab.open(session, "1", taken, plan)
    image = await lab.image(opened.source, plan)
    assert opened.transport == "lease"
    assert lab.digest(image) == await lab.sha256("1", 2000, taken.moref) != await lab.sha256("1", 2000)
    assert 0 < opened.source.wire_bytes < plan.disk.capacity_bytes / 2
    assert [lease["state"] for lease in await lab.leases()] == ["done"]


async def test_an_incremental_by_lease_reads_all_and_is_the_same_disk(lab) -> None:
    session = await lab.connect()
    await session.enable_change_tracking("1")
    taken = await lab.snapshot(session, "1", 1)
    parent = await lab.parent(session, "1", taken)
    await lab.remove(session, taken.moref)
    await lab.write("1", 0.05, seed=4)
    again = await lab.snapshot(session, "1", 2)
    plan = await lab.plan(session, "1", again, parent)
    opened = await lab.open(session, "1", again, plan)
    assert (plan.mode, opened.transport) == (Mode.INCREMENTAL, "lease")
    assert lab.digest(await lab.image(opened.source, plan)) == await lab.sha256("1", 2000, again.moref)


async def test_several_disks_are_told_apart_by_their_place_and_read_in_parallel(lab_of) -> None:
    lab = await lab_of("web:32m:4m:32m:6m:32m:0")
    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    vm = await session.virtual_machine("1")
    from backup_engine.transports.planning import plan_disks

    plans = await plan_disks(session, vm, taken, None, our_prefix=lab.prefix)

    async def digest(plan) -> str:
        return lab.digest(await lab.image((await lab.open(session, "1", taken, plan)).source, plan))

    digests = await asyncio.gather(*(digest(plan) for plan in plans))
    assert digests == [await lab.sha256("1", plan.disk.key, taken.moref) for plan in plans]
    assert len(set(digests)) == 3


@pytest.mark.invariant("D33")
async def test_a_lease_url_with_a_star_leads_to_the_connected_host(lab) -> None:
    session = await lab.connect()
    lease = await session.open_export((await lab.snapshot(session, "1")).moref, [])
    try:
        url = lease._lease.info.deviceUrl[0].url
        assert url.startswith("https://*/nfc/")
        pinned, target = await resolve_url(session._session, url, None)
        assert (pinned.port, pinned.thumbprint) == (lab.esxi.port, session.thumbprint)
        assert target == url.removeprefix("https://*")
    finally:
        await lease.close()


@pytest.mark.invariant("D33")
async def test_lease_urls_of_a_vcenter_lead_to_its_own_hosts_or_to_itself(lab, monkeypatch) -> None:
    session = (await lab.connect())._session
    monkeypatch.setattr(type(session), "is_vcenter", True)

    async def hosts(_: object) -> dict[str, str]:
        return {"esxi-9.invalid": "host-9", "127.0.0.1": "host-1", "169.254.169.254": "host-2"}

    monkeypatch.setattr(lease_module, "host_names", hosts)
    for url in ("https://*/nfc/1/d.vmdk", "https://[fe80::7]/nfc/1/d.vmdk", "https://esxi-9.invalid/nfc/1/d.vmdk"):
        assert await resolve_url(session, url, None) == (session.pinned, "/nfc/1/d.vmdk")
    for url in ("https://elsewhere.example/nfc/1/d.vmdk", "https://169.254.169.254/x"):
        with pytest.raises(HostNotAllowed):
            await resolve_url(session, url, None)


def test_a_stream_that_cannot_be_told_apart_is_not_read() -> None:
    class Device:
        def __init__(self, key: str) -> None:
            self.key = key
            self.importKey = ""

    same = [Device("/1/ParaVirtualSCSIController0:0"), Device("/1/ParaVirtualSCSIController0:0")]
    for devices in (same, [], [Device("/1/VirtualAHCIController0:0")]):
        with pytest.raises(LeaseDiskUnidentified):
            device_of_slot(devices, "ParaVirtualSCSIController", 0, 0)


@pytest.mark.invariant("D32")
async def test_keep_alive_goes_on_while_the_reader_is_throttled(lab_of) -> None:
    lab = await lab_of("web:32m:8m", lease_timeout=1)
    session = await lab.connect()
    source = source_of(session, await lab.snapshot(session, "1"))
    async with aclosing(source.stream()) as blocks:
        await anext(blocks)
        before = len(await lab.calls("HttpNfcLeaseProgress"))
        # The reader takes nothing for three times the lease's life, counted in its own reports.
        await lab.until(lambda: _reports(lab, before + 15))
        async for _ in blocks:
            pass
    await source.finish()
    assert [lease["state"] for lease in await lab.leases()] == ["done"]


async def _reports(lab, wanted: int) -> bool:
    return len(await lab.calls("HttpNfcLeaseProgress")) >= wanted


@pytest.mark.invariant("D34")
async def test_a_lease_that_breaks_is_aborted_once_and_the_disk_goes_on_by_a_fresh_one(lab) -> None:
    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    plan = await lab.plan(session, "1", taken)
    await lab.faults({"match": "/nfc/*", "action": "cut", "after_bytes": 2 << 20, "times": 1})
    source, offsets, image = source_of(session, taken), [], bytearray(plan.disk.capacity_bytes)
    async with aclosing(source.stream()) as blocks:
        async for offset, data in blocks:
            offsets.append(offset)
            image[offset : offset + len(data)] = data
    await source.finish()
    assert lab.digest(image) == await lab.sha256("1", 2000, taken.moref)
    assert offsets == sorted(set(offsets)), "nothing is delivered twice"
    assert [lease["state"] for lease in await lab.leases()] == ["error", "done"]
    assert len(await lab.calls("HttpNfcLeaseAbort")) == 1


@pytest.mark.invariant("D34")
async def test_a_lease_that_the_host_ends_is_reported_with_the_hosts_reason(lab) -> None:
    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    export = await session.open_export(taken.moref, taken.disks)
    stream = export.open_disk(2000)
    lease = next(iter(lab.esxi.simulator.host.leases.values()))
    with pytest.raises(LeaseFailed, match="out of memory"):
        async with aclosing(stream.blocks()) as blocks:
            async for _ in blocks:
                from simulators.esxi.vmodl import fault, vmodl

                lease.fail(fault(vmodl.fault.SystemError, "NFC server is out of memory", reason=""))
                await lab.until(lambda: _reports(lab, 1))
                export._lease._failure or await export._lease.explain(LeaseFailed(reason="?"))
    await export.close()
    await export.close()
    assert len(await lab.calls("HttpNfcLeaseAbort")) == 1


@pytest.mark.invariant("D35")
@pytest.mark.parametrize("action", ["cut", "corrupt"])
async def test_a_stream_that_is_always_damaged_fails_the_disk_and_leaves_no_lease(lab, action) -> None:
    session = await lab.connect()
    source = source_of(session, await lab.snapshot(session, "1"))
    await lab.faults({"match": "/nfc/*", "action": action, "after_bytes": 300_000})
    with pytest.raises(HypervisorError) as failed:
        await read_to_the_end(source)
    assert failed.value.retryable
    with pytest.raises(DiskStreamDamaged):
        await source.finish()
    assert {lease["state"] for lease in await lab.leases()} == {"error"}
    assert len(await lab.leases()) == 3


async def test_a_reader_that_goes_away_leaves_no_lease_behind(lab) -> None:
    session = await lab.connect()
    source = source_of(session, await lab.snapshot(session, "1"))
    async with aclosing(source.stream()) as blocks:
        await anext(blocks)
    assert [lease["state"] for lease in await lab.leases()] == ["error"]
    with pytest.raises(DiskStreamDamaged, match="not read to its end"):
        await source.finish()


async def test_a_stream_that_its_reader_merely_forgot_ends_with_its_source(lab) -> None:
    session = await lab.connect()
    source = source_of(session, await lab.snapshot(session, "1"))
    blocks = source.stream()
    await anext(blocks)
    await source.close()
    await source.close()
    assert [lease["state"] for lease in await lab.leases()] == ["error"]
    assert len(await lab.calls("HttpNfcLeaseAbort")) == 1
    await blocks.aclose()


@pytest.mark.invariant("D23")
async def test_a_session_that_expires_mid_transfer_does_not_end_it(lab) -> None:
    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    source, image = source_of(session, taken), bytearray(taken.disks[0].capacity_bytes)
    async with aclosing(source.stream()) as blocks:
        offset, data = await anext(blocks)
        image[offset : offset + len(data)] = data
        await lab.expire_sessions()
        async for offset, data in blocks:
            image[offset : offset + len(data)] = data
    await source.finish()
    assert lab.digest(image) == await lab.sha256("1", 2000, taken.moref)
    assert [lease["state"] for lease in await lab.leases()] == ["done"]


@pytest.mark.invariant("D38")
async def test_an_encrypted_machine_is_refused_with_the_reason_of_each_transport(lab) -> None:
    from dataclasses import replace

    session = await lab.connect()
    taken = await lab.snapshot(session, "1")
    plan = await lab.plan(session, "1", taken)
    encrypted = replace(plan, disk=replace(plan.disk, encrypted=True))
    with pytest.raises(NoTransport, match="lease: it delivers an encrypted machine's ciphertext; datastore: it"):
        await lab.open(session, "1", taken, encrypted)
    assert await lab.leases() == []
