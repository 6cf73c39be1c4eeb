"""Power, deletion and marks of VMs."""

import asyncio

from backup_engine.adapters.vsphere.inventory import TAG, read_machine
from backup_engine.adapters.vsphere.session import Session
from backup_engine.adapters.vsphere.tasks import FIRST_PAUSE, LONGEST_PAUSE, finished
from backup_engine.adapters.vsphere.vmodl import moid_of, vim
from backup_engine.errors.hypervisor import HypervisorFault, VmNotFound
from backup_engine.ports.hypervisor_values import PowerState

TASK_SECONDS = 600.0


async def power_on(session: Session, moid: str) -> None:
    """Wait until it is on; on already: nothing."""
    if (await read_machine(session, moid)).power_state is not PowerState.ON:
        await _run(session, moid, "PowerOnVM_Task")


async def power_off(session: Session, moid: str) -> None:
    """Hard; off already: nothing."""
    if (await read_machine(session, moid)).power_state is not PowerState.OFF:
        await _run(session, moid, "PowerOffVM_Task")


async def shut_down(session: Session, moid: str, timeout_seconds: float) -> bool:
    """Ask the guest; True when it is off in time."""
    machine = session.managed(vim.VirtualMachine, moid)
    if (await read_machine(session, moid)).power_state is PowerState.OFF:
        return True
    await session.call("ShutdownGuest", machine.ShutdownGuest, changes=True)
    pause, deadline = FIRST_PAUSE, asyncio.get_running_loop().time() + timeout_seconds
    while (await read_machine(session, moid)).power_state is not PowerState.OFF:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    return True


async def destroy(session: Session, moid: str) -> None:
    """Off, then deleted with its files. Gone already: nothing."""
    try:
        await power_off(session, moid)
        await _run(session, moid, "Destroy_Task")
    except VmNotFound:
        return
    except HypervisorFault as fault:
        if fault.fields.get("fault") != "ManagedObjectNotFound":
            raise


async def tag(session: Session, moid: str, value: str) -> None:
    """Write our mark into the VM's extra configuration; an empty value removes it."""
    machine = session.managed(vim.VirtualMachine, moid)
    spec = vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key=TAG, value=value)])
    task = await session.call("ReconfigVM_Task", lambda: machine.ReconfigVM_Task(spec=spec), changes=True)
    await finished(session, moid_of(task), "ReconfigVM", TASK_SECONDS)


async def _run(session: Session, moid: str, method: str) -> None:
    machine = session.managed(vim.VirtualMachine, moid)
    task = await session.call(method, getattr(machine, method), changes=True)
    await finished(session, moid_of(task), method.removesuffix("_Task"), TASK_SECONDS)
