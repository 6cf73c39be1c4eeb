"""Power, configuration, registration: what is done, and what is refused as the host refuses it."""

from typing import Any

import pytest
from pyVmomi import vim

device = vim.vm.device


def change(operation: str, item: Any, *, files: str | None = None) -> Any:
    return device.VirtualDeviceSpec(operation=operation, device=item, fileOperation=files)


def disk(capacity: int, *, key: int = -1, controller: int = 1000, unit: int | None = None) -> Any:
    backing = device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", thinProvisioned=True)
    return device.VirtualDisk(
        key=key, controllerKey=controller, unitNumber=unit, capacityInKB=capacity // 1024, capacityInBytes=capacity,
        backing=backing,
    )  # fmt: skip


def disks_of(vm: Any) -> list[Any]:
    return [item for item in vm.config.hardware.device if isinstance(item, device.VirtualDisk)]


def create(lab: Any, done: Any, name: str, *changes: Any) -> Any:
    datacenter = lab.si.content.rootFolder.childEntity[0]
    spec = vim.vm.ConfigSpec(
        name=name, memoryMB=256, numCPUs=1, files=vim.vm.FileInfo(vmPathName="[datastore1]"), deviceChange=list(changes)
    )
    return done(datacenter.vmFolder.CreateVM_Task(spec, datacenter.hostFolder.childEntity[0].resourcePool, None))


def test_power_states_follow_each_other_only_as_allowed(lab: Any, done: Any, eventually: Any) -> None:
    vm = lab.add("power:16m:0")
    with pytest.raises(vim.fault.InvalidPowerState) as refused:
        done(vm.PowerOn())
    assert refused.value.existingState == "poweredOn"
    vm.ShutdownGuest()
    eventually(lambda: vm.runtime.powerState == "poweredOff")
    with pytest.raises(vim.fault.InvalidPowerState):
        done(vm.PowerOff())
    done(vm.PowerOn())
    done(vm.Suspend())
    assert vm.runtime.powerState == "suspended"
    assert vm.guest.toolsRunningStatus == "guestToolsNotRunning"


def test_a_guest_without_tools_cannot_be_shut_down(lab: Any) -> None:
    vm = lab.add("no tools:16m:0", tools=False)
    with pytest.raises(vim.fault.ToolsUnavailable):
        vm.ShutdownGuest()


def test_a_vm_is_created_with_the_devices_it_was_given(lab: Any, done: Any) -> None:
    controller = device.ParaVirtualSCSIController(key=-5, busNumber=0, sharedBus="noSharing")
    vm = create(
        lab, done, "made", change("add", controller),
        change("add", disk(16 << 20, key=-2, controller=-5), files="create"),
        change("add", disk(32 << 20, key=2003, controller=-5, unit=3), files="create"),
    )  # fmt: skip
    assert [(item.key, item.unitNumber, item.capacityInBytes) for item in disks_of(vm)] == [
        (2000, 0, 16 << 20),
        (2003, 3, 32 << 20),
    ]
    assert len({item.backing.uuid for item in disks_of(vm)}) == 2
    with pytest.raises(vim.fault.DuplicateName):
        create(lab, done, "made")


def test_disks_are_added_extended_and_removed(lab: Any, done: Any) -> None:
    vm = lab.add("disks:16m:2m", cbt=True)
    first = disks_of(vm)[0]
    before = lab.image(vm)
    done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change("add", disk(16 << 20), files="create")])))
    assert [item.key for item in disks_of(vm)] == [2000, 2001]
    first.capacityInBytes, first.capacityInKB = 32 << 20, 32 << 10
    done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change("edit", first)])))
    assert lab.image(vm) == before + bytes(16 << 20)
    second = disks_of(vm)[1]
    done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change("remove", second, files="destroy")])))
    assert [item.key for item in disks_of(vm)] == [2000]


@pytest.mark.parametrize(
    "what", ["shrink", "taken unit", "reserved unit", "too large", "no controller", "with snapshot"]
)
def test_impossible_disk_changes_are_refused(lab: Any, done: Any, what: str) -> None:
    vm = lab.add(f"refused {what}:16m:0")
    item = disks_of(vm)[0]
    if what == "with snapshot":
        lab.snapshot(vm)
        item.capacityInBytes, item.capacityInKB = 32 << 20, 32 << 10
        wanted = change("edit", item)
    elif what == "shrink":
        item.capacityInBytes, item.capacityInKB = 8 << 20, 8 << 10
        wanted = change("edit", item)
    else:
        unit = {"taken unit": 0, "reserved unit": 7}.get(what, 1)
        size = 63 << 40 if what == "too large" else 16 << 20
        wanted = change(
            "add", disk(size, unit=unit, controller=1009 if what == "no controller" else 1000), files="create"
        )
    with pytest.raises(vim.fault.InvalidDeviceSpec):
        done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[wanted])))


def test_notes_and_settings_are_kept(lab: Any, done: Any) -> None:
    vm = lab.vm("web")
    options = [vim.option.OptionValue(key="ebm.task", value="t.1")]
    done(vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="kept", extraConfig=options)))
    assert vm.config.annotation == "kept"
    assert {option.key: option.value for option in vm.config.extraConfig}["ebm.task"] == "t.1"


def test_a_running_vm_is_not_destroyed_and_a_destroyed_one_is_gone(lab: Any, done: Any) -> None:
    vm = lab.add("doomed:16m:0")
    folder = lab.simulator.spec.folder / "datastores/datastore1/doomed"
    with pytest.raises(vim.fault.InvalidPowerState):
        done(vm.Destroy())
    done(vm.PowerOff())
    done(vm.Destroy())
    assert not folder.exists()


def test_an_unregistered_vm_comes_back_with_its_disks(lab: Any, done: Any) -> None:
    vm = lab.add("away:16m:2m:off")
    truth, path = lab.image(vm), vm.config.files.vmPathName
    vm.UnregisterVM()
    datacenter = lab.si.content.rootFolder.childEntity[0]
    pool = datacenter.hostFolder.childEntity[0].resourcePool
    back = done(datacenter.vmFolder.RegisterVM_Task(path=path, name="back", asTemplate=False, pool=pool))
    assert back != vm
    assert (back.name, lab.image(back)) == ("back", truth)


def test_a_disk_of_62_tib_takes_no_space(lab: Any, done: Any) -> None:
    vm = lab.add("huge:62t:0", cbt=True)
    before = next(item for item in lab.snapshot(vm, "a").config.hardware.device if item.key == 2000).backing.changeId
    lab.poke(vm, (62 << 40) - 4096, b"end" * 1000)
    after = lab.snapshot(vm, "b")
    found = vm.QueryChangedDiskAreas(after, 2000, 0, before).changedArea
    assert [(area.start, area.length) for area in found] == [((62 << 40) - (64 << 10), 64 << 10)]
    shown = next(item for item in lab.control.get("/_sim/vms").json()["results"] if item["name"] == "huge")
    assert shown["disks"][0]["allocated_bytes"] < 1 << 20
