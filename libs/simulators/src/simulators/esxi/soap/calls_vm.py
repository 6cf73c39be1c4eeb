"""Calls on virtual machines: power, snapshots, configuration, registration."""

import asyncio
from typing import Any

from simulators.esxi.model import devices, operations
from simulators.esxi.model.vm import POWERED_OFF, POWERED_ON, SUSPENDED, Snapshot, Vm
from simulators.esxi.soap import properties
from simulators.esxi.soap.calls import Call, call
from simulators.esxi.vmodl import fault, vim, vmodl

SHUTDOWN_SECONDS = 0.3
"""How long a simulated guest takes to shut down."""


def _free(vm: Vm) -> None:
    if vm.busy is not None:
        raise operations.in_progress("Another task is already in progress.", vm)


# -- power ------------------------------------------------------------------------------------------------------------


@call("PowerOnVM_Task", writes=True)
def power_on(c: Call) -> Any:
    vm: Vm = c.state

    async def work(_: Any) -> None:
        operations.power_on(c.host, vm)

    return c.task("VirtualMachine.powerOn", work, vm)


@call("PowerOffVM_Task", writes=True)
def power_off(c: Call) -> Any:
    vm: Vm = c.state

    async def work(_: Any) -> None:
        operations.power_off(c.host, vm)

    return c.task("VirtualMachine.powerOff", work, vm)


@call("SuspendVM_Task", writes=True)
def suspend(c: Call) -> Any:
    vm: Vm = c.state

    async def work(_: Any) -> None:
        operations.power_off(c.host, vm, state=SUSPENDED)

    return c.task("VirtualMachine.suspend", work, vm)


@call("ResetVM_Task", writes=True)
def reset(c: Call) -> Any:
    vm: Vm = c.state

    async def work(_: Any) -> None:
        operations.demand_power(vm, POWERED_ON, POWERED_ON)
        c.host.changed()

    return c.task("VirtualMachine.reset", work, vm)


@call("ShutdownGuest", writes=True)
def shutdown_guest(c: Call) -> None:
    vm: Vm = c.state
    operations.demand_power(vm, POWERED_OFF, POWERED_ON)
    if not vm.tools:
        raise fault(vim.fault.ToolsUnavailable, "Cannot complete operation because VMware Tools is not running.")

    async def work(_: Any) -> None:
        await asyncio.sleep(SHUTDOWN_SECONDS)
        if vm.running:
            operations.power_off(c.host, vm)

    c.host.tasks.start("VirtualMachine.shutdownGuest", c.target, c.session.user or "", work)


# -- snapshots --------------------------------------------------------------------------------------------------------


@call("CreateSnapshot_Task", writes=True)
def create_snapshot(c: Call) -> Any:
    return _create_snapshot(c, quiesce=bool(c.args["quiesce"]))


@call("CreateSnapshotEx_Task", writes=True)
def create_snapshot_ex(c: Call) -> Any:
    return _create_snapshot(c, quiesce=c.args["quiesceSpec"] is not None)


def _create_snapshot(c: Call, *, quiesce: bool) -> Any:
    vm: Vm = c.state
    name, description = c.args["name"], c.args.get("description") or ""
    operations.demand_snapshot_possible(vm, name)

    async def work(_: Any) -> Any:
        stun = c.host.faults.take("CreateSnapshot_Task", "no_stun") is None
        made = operations.create_snapshot(c.host, vm, name, description, quiesce=quiesce, stun=stun)
        return vim.vm.Snapshot(made.moid)

    return c.task("VirtualMachine.createSnapshot", work, vm)


@call("RemoveSnapshot_Task", writes=True)
def remove_snapshot(c: Call) -> Any:
    snapshot: Snapshot = c.state
    vm = properties.owner(c.host, snapshot)
    doomed = list(snapshot.walk()) if c.args["removeChildren"] else [snapshot]
    return _remove(c, vm, doomed)


@call("RemoveAllSnapshots_Task", writes=True)
def remove_all_snapshots(c: Call) -> Any:
    return _remove(c, c.state, list(c.state.snapshots()))


def _remove(c: Call, vm: Vm, doomed: list[Snapshot]) -> Any:
    operations.demand_not_exported(c.host, vm, doomed)

    async def work(_: Any) -> None:
        await operations.remove_snapshots(c.host, vm, doomed, call=c.name)

    return c.task("VirtualMachine.removeSnapshot", work, vm)


@call("RenameSnapshot", writes=True)
def rename_snapshot(c: Call) -> None:
    snapshot: Snapshot = c.state
    snapshot.name = c.args.get("name") or snapshot.name
    snapshot.description = c.args.get("description") or snapshot.description
    c.host.changed()


@call("RevertToSnapshot_Task", writes=True)
def revert_to_snapshot(c: Call) -> Any:
    return _revert(c, properties.owner(c.host, c.state), c.state)


@call("RevertToCurrentSnapshot_Task", writes=True)
def revert_to_current_snapshot(c: Call) -> Any:
    vm: Vm = c.state
    if vm.current_snapshot is None:
        raise fault(vim.fault.NotFound, "The virtual machine has no current snapshot.")
    return _revert(c, vm, vm.current_snapshot)


def _revert(c: Call, vm: Vm, snapshot: Snapshot) -> Any:
    operations.demand_no_lease(c.host, vm)

    async def work(_: Any) -> None:
        await operations.revert(c.host, vm, snapshot)

    return c.task("VirtualMachine.revertToSnapshot", work, vm)


@call("ConsolidateVMDisks_Task", writes=True)
def consolidate(c: Call) -> Any:
    vm: Vm = c.state

    async def work(_: Any) -> None:
        await operations.consolidate(c.host, vm)

    return c.task("VirtualMachine.consolidateDisks", work, vm)


# -- configuration and inventory ---------------------------------------------------------------------------------------


@call("ReconfigVM_Task", writes=True)
def reconfigure(c: Call) -> Any:
    vm: Vm = c.state

    async def work(_: Any) -> None:
        devices.reconfigure(c.host, vm, c.args["spec"])

    return c.task("VirtualMachine.reconfigure", work, vm)


@call("Rename_Task", writes=True)
def rename(c: Call) -> Any:
    if not isinstance(c.state, Vm):
        raise fault(vmodl.fault.NotSupported, "The operation is not supported on the object.")
    vm: Vm = c.state

    async def work(_: Any) -> None:
        devices.reconfigure(c.host, vm, vim.vm.ConfigSpec(name=c.args["newName"]))

    return c.task("ManagedEntity.rename", work, vm)


@call("Destroy_Task", writes=True)
def destroy(c: Call) -> Any:
    if not isinstance(c.state, Vm):
        raise fault(vmodl.fault.NotSupported, "The operation is not supported on the object.")
    vm: Vm = c.state

    async def work(_: Any) -> None:
        operations.destroy(c.host, vm)

    return c.task("VirtualMachine.destroy", work, vm)


@call("UnregisterVM", writes=True)
def unregister(c: Call) -> None:
    vm: Vm = c.state
    _free(vm)
    operations.demand_power(vm, POWERED_OFF, POWERED_OFF, SUSPENDED)
    operations.demand_no_lease(c.host, vm)
    del c.host.vms[vm.moid]
    c.host.unregistered[vm.vmx] = vm
    c.host.changed()


@call("RegisterVM_Task", writes=True)
def register(c: Call) -> Any:
    path = c.args["path"]

    async def work(_: Any) -> Any:
        if any(vm.vmx == path for vm in c.host.vms.values()):
            raise fault(vim.fault.AlreadyExists, f"{path} is already registered", name=path)
        vm = c.host.unregistered.pop(path, None)
        if vm is None:
            raise fault(vim.fault.NotFound, f"{path} was not found")
        vm.moid, vm.name = c.host.fresh_moid(), c.args.get("name") or vm.name
        vm.template = bool(c.args["asTemplate"])
        c.host.register(vm)
        return vim.VirtualMachine(vm.moid)

    return c.task("Folder.registerVm", work)


@call("CreateVM_Task", writes=True)
def create_vm(c: Call) -> Any:
    async def work(_: Any) -> Any:
        vm = devices.create(c.host, c.args["config"])
        c.host.register(vm)
        return vim.VirtualMachine(vm.moid)

    return c.task("Folder.createVm", work)


@call("MarkAsTemplate", writes=True)
def mark_as_template(c: Call) -> None:
    operations.demand_power(c.state, POWERED_OFF, POWERED_OFF)
    c.state.template = True
    c.host.changed()


@call("MarkAsVirtualMachine", writes=True)
def mark_as_virtual_machine(c: Call) -> None:
    c.state.template = False
    c.host.changed()
