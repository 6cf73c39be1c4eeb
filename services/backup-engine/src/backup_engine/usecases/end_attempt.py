"""The ways an attempt ends without its result: failed, tried again, cancelled, handed back, lost with its runner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from backup_engine.domain.job import Task, TaskKind, TaskStatus
from backup_engine.domain.lease import MAX_LOSSES, PAUSES, SNAPSHOT_GRACE, loss_counts
from backup_engine.domain.problem import Problem, problem_of
from backup_engine.domain.quota import Resource
from backup_engine.errors import AttemptsExhausted, Cancelled
from backup_engine.events import BackupFailed
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.remove_snapshots import queue_removals


async def fail_attempt(
    uow: UnitOfWork, task: Task, problem: Problem, *, retry: bool, pauses: Sequence[timedelta] = PAUSES
) -> None:
    """End the running attempt by an error; its snapshot's removal is queued now.

    With ``retry`` the task rests and is tried again, until the third try without progress.
    """
    await queue_removals(uow, task, token=task.token)
    counts = loss_counts(task.stored_at_loss, task.bytes_stored, task.bytes_total)
    losses = task.losses + counts
    if problem["code"] == Cancelled.code:
        await _end(uow, task, TaskStatus.CANCELLED, problem)
    elif retry and losses < MAX_LOSSES:
        await _rest(uow, task, losses, pauses, error=problem)
    else:
        await _end(uow, task, TaskStatus.FAILED, problem)


async def hand_back(uow: UnitOfWork, task: Task) -> None:
    """A runner that was told to stop gives its task to another; this never counts (S50)."""
    await queue_removals(uow, task, token=task.token)
    await uow.tasks.move(task.id, TaskStatus.WAITING, lease_until=None, runner=None, phase=None)


async def lose_lease(uow: UnitOfWork, task: Task, pauses: Sequence[timedelta] = PAUSES) -> None:
    """The lease ran out: make the task ready for another attempt, or end it when that was the third without progress.

    The attempt's snapshot is left alone until the lease and a minute are over: its runner may still be alive.
    """
    assert task.lease_until is not None
    await queue_removals(uow, task, token=task.token, not_before=task.lease_until + SNAPSHOT_GRACE)
    if task.cancel_requested and task.prepared is None:
        await _end(uow, task, TaskStatus.CANCELLED, problem_of(Cancelled()))
        return
    losses = task.losses + loss_counts(task.stored_at_loss, task.bytes_stored, task.bytes_total)
    if losses >= MAX_LOSSES and task.kind is not TaskKind.REMOVE_SNAPSHOT:
        await _end(uow, task, TaskStatus.FAILED, problem_of(AttemptsExhausted(attempts=losses)))
        return
    await _rest(uow, task, losses, pauses, prefer_resumable=True)


async def release_place(uow: UnitOfWork, task: Task) -> None:
    """Give back the place of a backup that did not become a restore point."""
    if task.kind is TaskKind.BACKUP and task.quota_month is not None:
        await uow.quota.give_back(Resource.BACKUPS, 1, task.quota_month)


async def _rest(uow: UnitOfWork, task: Task, losses: int, pauses: Sequence[timedelta], **values: Any) -> None:
    pause = pauses[min(max(losses, 1), len(pauses)) - 1]
    await uow.tasks.move(
        task.id,
        TaskStatus.WAITING,
        lease_until=None,
        runner=None,
        losses=losses,
        stored_at_loss=task.bytes_stored,
        not_before=await uow.database_now() + pause,
        **values,
    )


async def _end(uow: UnitOfWork, task: Task, target: TaskStatus, problem: Problem) -> None:
    await uow.tasks.move(task.id, target, error=dict(problem))
    await release_place(uow, task)
    if task.kind is TaskKind.BACKUP and target is TaskStatus.FAILED and task.job_id and task.vm_id:
        fact = BackupFailed(job_id=task.job_id, task_id=task.id, vm_id=task.vm_id, code=problem["code"])
        await uow.publish(fact, subject=str(task.id))
