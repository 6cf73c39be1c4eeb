"""Login, sessions, inventory and the property collector, as pyvmomi meets them."""

import threading
from pathlib import Path
from typing import Any

import pytest
from pyVim.connect import SmartConnect
from pyVmomi import vim, vmodl
from simulators.esxi import HostSpec, VmSpec
from simulators.esxi.model.host import EsxHost

query = vmodl.query.PropertyCollector


def all_vms(lab: Any, *paths: str, page: int | None = None) -> Any:
    content = lab.si.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    walk = query.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
    spec = query.FilterSpec(
        objectSet=[query.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
        propSet=[query.PropertySpec(type=vim.VirtualMachine, pathSet=list(paths), all=not paths)],
    )
    return spec, content.propertyCollector.RetrievePropertiesEx([spec], query.RetrieveOptions(maxObjects=page))


def test_a_wrong_password_is_refused(lab: Any) -> None:
    with pytest.raises(vim.fault.InvalidLogin):
        lab.connect(password="wrong")


def test_without_a_session_only_the_service_content_is_told(lab: Any) -> None:
    stranger = vim.ServiceInstance("ServiceInstance", SmartConnect(
        host="127.0.0.1", port=lab.running.port, user="root", pwd=lab.running.password, disableSslCertValidation=True
    )._stub)  # fmt: skip
    stranger.content.sessionManager.Logout()
    assert stranger.RetrieveContent().about.apiType == "HostAgent"
    with pytest.raises(vim.fault.NotAuthenticated):
        stranger.CurrentTime()
    stranger._stub.DropConnections()


def test_the_certificate_is_the_one_that_was_announced(lab: Any) -> None:
    good = SmartConnect(
        host="127.0.0.1", port=lab.running.port, user="root", pwd=lab.running.password, disableSslCertValidation=True,
        thumbprint=lab.running.thumbprint,
    )  # fmt: skip
    assert good.content.about.version == "8.0.3"
    good._stub.DropConnections()


def test_expired_sessions_answer_not_authenticated_until_a_new_login(lab: Any) -> None:
    assert lab.control.post("/_sim/sessions/expire").json()["expired"] >= 1
    with pytest.raises(vim.fault.NotAuthenticated):
        lab.si.CurrentTime()
    lab.si.content.sessionManager.Login("root", lab.running.password, None)
    assert lab.si.CurrentTime() is not None


def test_a_rule_ends_a_session_in_the_middle(lab: Any) -> None:
    lab.faults({"match": "FindByUuid", "action": "expire", "times": 1})
    with pytest.raises(vim.fault.NotAuthenticated):
        lab.si.content.searchIndex.FindByUuid(None, "x", True)
    lab.reconnect()


def test_the_inventory_is_that_of_a_standalone_host(lab: Any) -> None:
    datacenter = lab.si.content.rootFolder.childEntity[0]
    compute = datacenter.hostFolder.childEntity[0]
    assert datacenter.name == "ha-datacenter"
    assert compute.host[0].summary.config.product.version == "8.0.3"
    assert compute.resourcePool.name == "Resources"
    assert [store.name for store in datacenter.datastore] == ["datastore1"]
    assert datacenter.datastore[0].summary.freeSpace > 0
    assert datacenter.network[0].name == "VM Network"
    assert lab.si.content.licenseManager.licenses[0].editionKey == "esx.enterprisePlus.cpuPackage"


def test_every_property_of_a_vm_can_be_read_lazily(lab: Any) -> None:
    vm = lab.vm("web")
    for prop in vim.VirtualMachine._GetPropertyList():
        getattr(vm, prop.name)
    assert vm.capability.changeTrackingSupported
    assert vm.guest.toolsRunningStatus == "guestToolsRunning"
    assert vm.runtime.consolidationNeeded is False
    assert vm.parent.name == "vm"


def test_all_properties_come_through_the_collector(lab: Any) -> None:
    _, found = all_vms(lab)
    names = {prop.name for prop in found.objects[0].propSet}
    assert {"config", "runtime", "summary", "layoutEx", "guest"} <= names


def test_leaf_paths_are_read_and_unset_ones_left_out(lab: Any) -> None:
    vm = lab.add("leaf:16m:0:off")
    wanted = ("name", "config.instanceUuid", "snapshot.currentSnapshot", "config.hardware.device[2000].capacityInBytes")
    _, found = all_vms(lab, *wanted)
    item = next(entry for entry in found.objects if entry.obj == vm)
    values = {prop.name: prop.val for prop in item.propSet}
    assert values["config.hardware.device[2000].capacityInBytes"] == 16 << 20
    assert "snapshot.currentSnapshot" not in values


def test_an_unknown_property_is_refused(lab: Any) -> None:
    with pytest.raises(vmodl.query.InvalidProperty):
        all_vms(lab, "config.nonsense")


def test_long_answers_come_in_pages(lab: Any) -> None:
    for number in range(3):
        lab.add(f"page{number}:16m:0:off")
    total = len(lab.si.content.rootFolder.childEntity[0].vmFolder.childEntity)
    _, page = all_vms(lab, "name", page=2)
    names = [item.obj for item in page.objects]
    assert len(names) == 2
    used = page.token
    while page.token:
        page = lab.si.content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
        names += [item.obj for item in page.objects]
    assert len(set(names)) == total
    with pytest.raises(vmodl.fault.InvalidArgument):
        lab.si.content.propertyCollector.ContinueRetrievePropertiesEx(used)


def test_updates_are_waited_for_and_name_only_what_moved(lab: Any, done: Any) -> None:
    vm = lab.add("watched:16m:0:off")
    collector = lab.si.content.propertyCollector
    spec = query.FilterSpec(
        objectSet=[query.ObjectSpec(obj=vm)],
        propSet=[query.PropertySpec(type=vim.VirtualMachine, pathSet=["runtime.powerState", "name"])],
    )
    watch = collector.CreateFilter(spec, True)
    first = collector.WaitForUpdatesEx("", query.WaitOptions(maxWaitSeconds=5))
    assert first.filterSet[0].objectSet[0].kind == "enter"
    assert collector.WaitForUpdatesEx(first.version, query.WaitOptions(maxWaitSeconds=0)) is None
    other = lab.connect()
    timer = threading.Timer(0.1, lambda: vim.VirtualMachine(vm._moId, other._stub).PowerOn())
    timer.start()
    second = collector.WaitForUpdatesEx(first.version, query.WaitOptions(maxWaitSeconds=10))
    timer.join()
    changes = second.filterSet[0].objectSet[0].changeSet
    assert [(change.name, change.val) for change in changes] == [("runtime.powerState", "poweredOn")]
    with pytest.raises(vmodl.query.InvalidCollectorVersion):
        collector.WaitForUpdatesEx("77", query.WaitOptions(maxWaitSeconds=0))
    watch.Destroy()
    other._stub.DropConnections()


def test_vms_are_found_by_uuid_and_path(lab: Any) -> None:
    vm, index = lab.vm("web"), lab.si.content.searchIndex
    assert index.FindByUuid(None, vm.config.uuid, True) == vm
    assert index.FindByUuid(None, vm.config.instanceUuid, True, True) == vm
    assert index.FindByUuid(None, vm.config.uuid, True, True) is None
    assert index.FindByInventoryPath("ha-datacenter/vm/web") == vm
    assert index.FindByDatastorePath(lab.si.content.rootFolder.childEntity[0], "[datastore1] web/web.vmx") == vm


def test_objects_that_are_gone_are_not_found(lab: Any) -> None:
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = vim.VirtualMachine("4711", lab.si._stub).name


def test_what_is_not_simulated_says_so(lab: Any) -> None:
    with pytest.raises(vmodl.fault.MethodNotFound):
        lab.vm("web").AcquireMksTicket()


def test_calls_fail_wait_and_are_logged_by_rule(lab: Any) -> None:
    lab.control.delete("/_sim/requests")
    lab.faults(
        {"match": "CreateSnapshot_Task", "action": "fault", "fault": "FileFault", "fields": {"file": "x"}, "times": 1},
        {"match": "CurrentTime", "action": "delay", "seconds": 0.2, "times": 1},
    )
    with pytest.raises(vim.fault.FileFault):
        lab.vm("web").CreateSnapshot_Task("x", "", False, False)
    before = lab.si.CurrentTime()
    assert before is not None
    log = lab.control.get("/_sim/requests").json()["results"]
    assert [entry["outcome"] for entry in log if entry["name"] == "CreateSnapshot_Task"] == ["FileFault"]
    assert "VMware1!" not in str(log)


@pytest.mark.parametrize("name", ["NoPermission", "TaskInProgress", "InvalidPowerState", "ApplicationQuiesceFault"])
def test_a_rule_needs_to_name_only_the_kind_of_fault(lab: Any, name: str) -> None:
    lab.faults({"match": "CreateSnapshot_Task", "action": "fault", "fault": name, "times": 1})
    with pytest.raises(vmodl.MethodFault) as raised:
        lab.vm("web").CreateSnapshot_Task("x", "", False, False)
    assert type(raised.value).__name__ == f"vim.fault.{name}"


def test_an_expired_session_ends_a_wait(lab: Any) -> None:
    collector = lab.si.content.propertyCollector
    spec = query.FilterSpec(
        objectSet=[query.ObjectSpec(obj=lab.vm("web"))],
        propSet=[query.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
    )
    collector.CreateFilter(spec, True)
    version = collector.WaitForUpdatesEx("", query.WaitOptions(maxWaitSeconds=5)).version
    timer = threading.Timer(0.2, lambda: lab.control.post("/_sim/sessions/expire"))
    timer.start()
    with pytest.raises(vim.fault.NotAuthenticated):
        collector.WaitForUpdatesEx(version, query.WaitOptions(maxWaitSeconds=20))
    timer.join()
    lab.reconnect()


def test_several_hosts_live_in_one_process(make_lab: Any) -> None:
    one, other = make_lab("alone:16m:0"), make_lab("alone:16m:0", name="second.sim.local")
    assert one.running.port != other.running.port
    snapshot = one.snapshot(one.vm("alone"))
    assert other.vm("alone").snapshot is None
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = vim.vm.Snapshot(snapshot._moId, other.si._stub).config


def test_a_second_start_in_the_same_folder_begins_anew(tmp_path: Path) -> None:
    for _ in range(2):
        host = EsxHost(HostSpec(folder=tmp_path))
        host.register(host.build(VmSpec.parse("again:16m:0:off")))
        assert host.vms["1"].directory == "again"
        host.vms["1"].close()


async def test_a_folder_of_others_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "datastores").mkdir()
    (tmp_path / "datastores" / "theirs").touch()
    EsxHost(HostSpec(folder=tmp_path))
    assert (tmp_path / "datastores" / "theirs").exists()


def test_a_bad_rule_changes_nothing(lab: Any) -> None:
    bad_field = {"match": "x", "action": "fault", "fault": "FileFault", "fields": {"nonsense": 1}}
    for bad in ([{"match": "x"}], [{"match": "x", "action": "fault", "fault": "NoSuchFault"}], "text", [bad_field]):
        assert lab.control.put("/_sim/faults", json=bad).status_code == 422


def test_a_free_licence_reads_but_does_not_write(make_lab: Any) -> None:
    lab = make_lab("free:16m:0", licence="free")
    vm = lab.vm("free")
    assert vm.runtime.powerState == "poweredOn"
    with pytest.raises(vim.fault.RestrictedVersion):
        vm.CreateSnapshot_Task("x", "", False, False)


def test_malformed_soap_is_refused(lab: Any) -> None:
    for body in (b"", b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"):
        answer = lab.https.post("/sdk", content=body)
        assert answer.status_code == 500
        assert b"InvalidRequest" in answer.content
