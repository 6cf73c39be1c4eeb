"""Tasks on the host: one look, and waiting for the end."""

import asyncio
from typing import Any

from backup_engine.adapters.vsphere.faults import as_error
from backup_engine.adapters.vsphere.session import Session, read_properties
from backup_engine.adapters.vsphere.vmodl import vim
from backup_engine.errors.hypervisor import HypervisorFault, HypervisorTimeout
from backup_engine.ports.hypervisor_values import TaskPhase, TaskState

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between looks: most tasks end at once, the others take minutes."""

_PATHS = ("info.state", "info.progress", "info.error", "info.result")


async def look(session: Session, task: str, operation: str = "task") -> tuple[TaskState, Any]:
    """The task's state and result. A task that the host forgot is GONE."""
    try:
        properties = (await read_properties(session, vim.Task, [task], _PATHS)).get(task, {})
    except HypervisorFault as fault:
        if fault.fields.get("fault") != "ManagedObjectNotFound":
            raise
        return TaskState(TaskPhase.GONE, None, None), None
    phase = TaskPhase(str(properties.get("info.state", "queued")))
    failure = properties.get("info.error")
    error = as_error(failure, host=session.pinned.host, operation=operation) if failure is not None else None
    return TaskState(phase, properties.get("info.progress"), error), properties.get("info.result")


async def finished(session: Session, task: str, operation: str, seconds: float) -> Any:
    """Wait for the end; returns the result.

    Raises:
        HypervisorError: the task's own failure.
        HypervisorTimeout: not ended in time; it goes on without us.
    """
    pause = FIRST_PAUSE
    try:
        async with asyncio.timeout(seconds):
            while True:
                state, result = await look(session, task, operation)
                if state.phase is TaskPhase.GONE:
                    raise HypervisorFault(fault="TaskForgotten", message=f"the host no longer knows the {operation}")
                if state.error is not None:
                    raise state.error
                if state.phase is TaskPhase.SUCCESS:
                    return result
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, LONGEST_PAUSE)
    except TimeoutError as error:
        raise HypervisorTimeout(host=session.pinned.host, operation=operation, seconds=round(seconds)) from error
