"""The ledger's side of a snapshot's life: intended before it is asked for, created, being removed, removed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from backup_engine.domain.job import Task, TaskStatus
from backup_engine.domain.problem import Problem
from backup_engine.domain.snapshot import SnapshotName
from backup_engine.errors import StaleToken
from backup_engine.persistence.ledger import LedgerRow
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.control_plane import Grant


async def intend_snapshot(uow: UnitOfWork, grant: Grant, name: SnapshotName) -> None:
    """Write the row; only after its commit may the host be asked. Raises StaleToken."""
    task = await uow.tasks.held(grant.task_id, grant.token, TaskStatus.RUNNING)
    if (name.task_id, name.token) != (grant.task_id, grant.token):
        raise StaleToken
    assert task.vm_id is not None
    machine = await uow.machines.get(task.vm_id)
    if not await uow.ledger.open_of(task.id, grant.token):
        await uow.ledger.intend(name, task.server_id, machine.id, machine.moid)


async def note_created(uow: UnitOfWork, grant: Grant, moref: str) -> None:
    await uow.tasks.held(grant.task_id, grant.token)
    await uow.ledger.created(grant.task_id, grant.token, moref)


async def note_removal(uow: UnitOfWork, grant: Grant, host_task: str | None) -> None:
    """Note that the removal is about to be sent, or which task of the host it is. Raises StaleToken."""
    _task, row = await _removal(uow, grant)
    await uow.ledger.change(row.id, state="removing", host_task=host_task)


async def end_removal(uow: UnitOfWork, grant: Grant, warnings: Sequence[Problem]) -> None:
    """The snapshot is gone: close its row and the task. Raises StaleToken."""
    task, row = await _removal(uow, grant)
    await uow.ledger.removed(row.id)
    shown = [dict(warning) for warning in warnings]
    await uow.tasks.move(task.id, TaskStatus.COMPLETED, warnings=shown, phase="completed", error=None)


async def _removal(uow: UnitOfWork, grant: Grant) -> tuple[Task, LedgerRow]:
    task = await uow.tasks.held(grant.task_id, grant.token)
    return task, await uow.ledger.get(UUID(task.params["ledger_id"]))
