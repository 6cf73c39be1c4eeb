"""Prolong an attempt's lease, keep its progress, and tell it whether to stop."""

from __future__ import annotations

from backup_engine.domain.job import TaskKind, TaskStatus
from backup_engine.domain.problem import problem_of
from backup_engine.domain.quota import FAILED_STORAGE_FACTOR, GB, Resource
from backup_engine.errors import QuotaReached
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.control_plane import Grant, Progress, Renewal, Stop


async def renew_lease(uow: UnitOfWork, grant: Grant, progress: Progress) -> Renewal:
    """Raises StaleToken; the runner then stops without another call."""
    task = await uow.tasks.held(grant.task_id, grant.token)
    stored = task.bytes_stored_before + progress.bytes_stored
    await uow.tasks.prolong(
        task.id,
        grant.lease,
        phase=progress.phase,
        mode=progress.mode,
        transport=progress.transport,
        transport_reason=progress.transport_reason,
        bytes_total=progress.bytes_total or task.bytes_total,
        bytes_read=progress.bytes_read,
        bytes_skipped=progress.bytes_skipped,
        bytes_new=progress.bytes_new,
        bytes_stored=max(stored, task.bytes_stored),
        limiting_stage=progress.limiting_stage,
    )
    if task.status is TaskStatus.RUNNING and task.cancel_requested:
        return Renewal(Stop.CANCEL)
    if task.status is TaskStatus.RUNNING and task.kind is TaskKind.BACKUP:
        return await _within_storage(uow, stored)
    return Renewal()


async def _within_storage(uow: UnitOfWork, stored: int) -> Renewal:
    """Stop over the plan's storage, or over twice of it with what failed tasks left behind."""
    limit = (await uow.tenants.get()).quotas.storage_bytes
    if limit is None:
        return Renewal()
    used = await uow.quota.stored_bytes() + stored
    if used <= limit and used + await uow.tasks.failed_bytes() <= FAILED_STORAGE_FACTOR * limit:
        return Renewal()
    reached = QuotaReached(resource=str(Resource.STORAGE), limit=limit // GB, current=-(-used // GB))
    return Renewal(Stop.QUOTA, problem_of(reached))
