"""Sessions with a real SOAP endpoint: pinning, login, expiry, mapped faults, the fence."""

import asyncio
from dataclasses import replace

import pytest
from backup_engine.adapters.vsphere.dialer import DialPolicy
from backup_engine.adapters.vsphere.hypervisor import VSphereConnector
from backup_engine.errors.hypervisor import (
    CertificateChanged,
    DatastoreFull,
    HostNotAllowed,
    HostUnreachable,
    HypervisorBusy,
    HypervisorFault,
    HypervisorLoginRefused,
    HypervisorStateConflict,
    LicenceRestricted,
    PrivilegeMissing,
    QuiesceFailed,
    VmNotFound,
)
from backup_engine.ports.hypervisor_values import Credentials, Endpoint, PowerState


@pytest.fixture
async def lab(lab_of):
    """A running VM with a blank disk: nothing here looks at its bytes."""
    return await lab_of("web:16m:0")


async def test_the_first_connection_reports_who_is_there_and_its_certificate(lab) -> None:
    session = await lab.connect()
    assert session.thumbprint == lab.esxi.thumbprint.replace(":", "").lower()
    about = await session.about()
    assert about.full_name.startswith("VMware ESXi 8")
    assert not about.is_vcenter


async def test_a_wrong_password_is_refused(lab) -> None:
    with pytest.raises(HypervisorLoginRefused):
        await lab.connector.connect(lab.endpoint, Credentials(lab.esxi.username, "wrong"))


@pytest.mark.invariant("D28")
async def test_a_changed_certificate_stops_before_the_password_is_sent(lab) -> None:
    pinned = replace(lab.endpoint, thumbprint="ab" * 32)
    with pytest.raises(CertificateChanged):
        await lab.connector.connect(pinned, lab.credentials)
    assert await lab.calls("Login") == []


async def test_loopback_is_refused_without_the_development_setting(lab) -> None:
    connector = VSphereConnector(DialPolicy())
    with pytest.raises(HostNotAllowed):
        await connector.connect(lab.endpoint, lab.credentials)
    await connector.aclose()


async def test_a_host_that_stops_is_unreachable(lab) -> None:
    session = await lab.connect()
    await lab.esxi.stop()
    with pytest.raises(HostUnreachable):
        await session.inventory()


async def test_the_inventory_lists_machines_with_their_disks_datastores_networks_and_hosts(lab_of) -> None:
    lab = await lab_of("web:96m:12m:8m:0", "db:16m:0:off")
    inventory = await (await lab.connect()).inventory()
    web, db = sorted(inventory.virtual_machines, key=lambda vm: vm.name, reverse=True)
    assert (web.name, web.power_state, db.power_state) == ("web", PowerState.ON, PowerState.OFF)
    assert [(d.key, d.capacity_bytes, d.address.unit) for d in web.disks] == [(2000, 96 << 20, 0), (2001, 8 << 20, 1)]
    assert web.disks[0].file == "[datastore1] web/web.vmdk"
    assert web.change_tracking_supported
    assert not web.has_snapshots
    assert [d.name for d in inventory.datastores] == ["datastore1"]
    assert [n.name for n in inventory.networks] == ["VM Network"]
    assert len(inventory.hosts) == 1


async def test_an_inventory_of_several_pages_is_complete(lab_of) -> None:
    lab = await lab_of()
    for number in range(120):
        vm = lab.esxi.simulator.host.new_vm(f"vm-{number}", "datastore1")
        lab.esxi.simulator.host.register(vm)
    inventory = await (await lab.connect()).inventory()
    assert len({vm.moid for vm in inventory.virtual_machines}) == 120


async def test_a_machine_that_is_gone_is_not_found(lab) -> None:
    session = await lab.connect()
    with pytest.raises(VmNotFound):
        await session.virtual_machine("4711")
    await session.destroy("4711")


@pytest.mark.invariant("D23")
async def test_an_expired_session_is_logged_in_again_and_the_call_repeated(lab) -> None:
    session = await lab.connect()
    await lab.expire_sessions()
    machines = (await asyncio.gather(*(session.inventory() for _ in range(4))))[0].virtual_machines
    assert [vm.name for vm in machines] == ["web"]
    assert len(await lab.calls("Login")) == 2


@pytest.mark.parametrize(
    ("fault", "fields", "error"),
    [
        ("ApplicationQuiesceFault", {}, QuiesceFailed),
        ("NoDiskSpace", {"datastore": "datastore1"}, DatastoreFull),
        ("RestrictedVersion", {}, LicenceRestricted),
        ("InvalidPowerState", {"requestedState": "poweredOn", "existingState": "poweredOff"}, HypervisorStateConflict),
        ("FileLocked", {}, HypervisorFault),
    ],
)
@pytest.mark.parametrize("in_task", [False, True])
async def test_a_fault_is_one_of_our_errors_whether_the_call_or_its_task_fails(
    lab, fault, fields, error, in_task
) -> None:
    session = await lab.connect()
    rule = {"match": "CreateSnapshot_Task", "action": "fault", "fault": fault, "fields": fields, "in_task": in_task}
    await lab.faults(rule)
    with pytest.raises(error):
        await lab.snapshot(session, "1")


async def test_a_machine_on_which_another_task_runs_is_busy(lab) -> None:
    session = await lab.connect()
    await lab.faults({"match": "CreateSnapshot_Task", "action": "delay", "seconds": 3, "in_task": True, "times": 1})
    first = asyncio.create_task(lab.snapshot(session, "1", 1))
    await lab.until(lambda: lab.calls("CreateSnapshot_Task"))
    with pytest.raises(HypervisorBusy) as busy:
        await lab.snapshot(session, "1", 2)
    assert busy.value.retryable
    await first


async def test_a_missing_privilege_is_named(lab) -> None:
    session = await lab.connect()
    name = "VirtualMachine.State.CreateSnapshot"
    rule = {"match": "CreateSnapshot_Task", "action": "fault", "fault": "NoPermission", "fields": {"privilegeId": name}}
    await lab.faults(rule)
    with pytest.raises(PrivilegeMissing) as refused:
        await lab.snapshot(session, "1")
    assert refused.value.fields["privilege"] == name


@pytest.mark.invariant("D30")
async def test_a_free_licence_refuses_writes_with_a_code_of_its_own_and_still_reads(lab_of) -> None:
    lab = await lab_of("web:16m:0", licence="free")
    session = await lab.connect()
    assert len((await session.inventory()).virtual_machines) == 1
    with pytest.raises(LicenceRestricted):
        await lab.snapshot(session, "1")


async def test_a_call_that_changes_the_host_is_never_sent_twice(lab) -> None:
    session = await lab.connect()
    await lab.faults({"match": "CreateSnapshot_Task", "action": "status", "status": 503, "times": 1})
    with pytest.raises(HostUnreachable):
        await lab.snapshot(session, "1")
    assert len(await lab.calls("CreateSnapshot_Task")) == 1


@pytest.mark.invariant("D73")
async def test_nothing_reaches_the_host_once_the_fence_is_up(lab) -> None:
    class Over(Exception):
        pass

    up = False

    def fence() -> None:
        if up:
            raise Over

    session = await lab.connect(fence)
    before, up = len(await lab.calls()), True
    for act in (session.inventory(), lab.snapshot(session, "1"), session.files.size("[datastore1] web/web.vmx")):
        with pytest.raises(Over):
            await act
    assert len(await lab.calls()) == before


async def test_power_and_marks(lab) -> None:
    session = await lab.connect()
    assert await session.shut_down("1", timeout_seconds=20)
    assert (await session.virtual_machine("1")).power_state is PowerState.OFF
    await session.power_on("1")
    await session.power_on("1")
    assert (await session.virtual_machine("1")).power_state is PowerState.ON
    await session.tag("1", "task-9.3")
    assert [vm.moid for vm in await session.tagged("task-9")] == ["1"]
    assert await session.tagged("task") == ()
    await session.tag("1", "")
    assert (await session.virtual_machine("1")).task_tag is None
    await session.power_off("1")
    await session.power_off("1")
    await session.destroy("1")
    assert (await session.inventory()).virtual_machines == ()


async def test_an_endpoint_names_no_password_in_its_representation(lab) -> None:
    assert lab.esxi.password not in repr(lab.credentials)
    assert Endpoint(lab.esxi.host).port == 443
