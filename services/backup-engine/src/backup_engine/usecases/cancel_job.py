"""Cancel a job: what has not begun ends at once, what runs is told by its next renewal (within 10 s)."""

from __future__ import annotations

from uuid import UUID

from backup_engine.domain.job import TaskStatus
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.end_attempt import release_place


async def cancel_job(uow: UnitOfWork, job_id: UUID, kind: str, *, actor: UUID) -> None:
    """Cancel what can still be cancelled; an ended job stays as it is. Raises JobNotFound.

    A task that is committing is not stopped any more: it ends within seconds.
    """
    await uow.jobs.get(job_id, kind)
    for task in await uow.tasks.lock_of_job(job_id):
        if task.status in {TaskStatus.WAITING, TaskStatus.READY} and task.prepared is None:
            await uow.tasks.move(task.id, TaskStatus.CANCELLED)
            await release_place(uow, task)
        elif task.status is TaskStatus.RUNNING:
            await uow.tasks.change(task.id, cancel_requested=True)
    await uow.audit(f"{kind}_job.cancelled", str(job_id), actor=actor)
