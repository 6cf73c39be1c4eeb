"""Prepare and commit: between the two the manifest is written, and after them a restore point exists or none does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from backup_engine.domain.inventory import Machine
from backup_engine.domain.job import Task, TaskKind, TaskStatus
from backup_engine.domain.point import PointState
from backup_engine.domain.problem import Problem
from backup_engine.domain.quota import Resource
from backup_engine.domain.retention import keep_until
from backup_engine.domain.tenant import Tenant
from backup_engine.domain.vault import VaultState
from backup_engine.errors import Cancelled, ChunkNotLive, StaleToken, VaultReadOnly
from backup_engine.events import BackupCompleted, RestoreCompleted
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.control_plane import Grant, PointDraft, Progress
from backup_engine.ports.hypervisor_values import VirtualMachine
from backup_engine.usecases.remove_snapshots import queue_removals
from backup_engine.usecases.report_usage import report_usage, warn_when_near
from backup_engine.usecases.steps.seen_machines import machine_seen


async def prepare_point(uow: UnitOfWork, grant: Grant, draft: PointDraft | None) -> None:
    """Compare-and-set running → committing; repeating it for the same attempt changes nothing.

    Raises:
        StaleToken: the attempt is not the task's current one, or its lease is over.
        Cancelled: a person cancelled it; before this point that is honoured.
        ChunkNotLive: a root that the point names, or the parent it builds on, is not live.
        QuotaReached: what was stored does not fit the plan.
        VaultReadOnly: the database turned out to be older than the vault.
    """
    task = await uow.tasks.held(grant.task_id, grant.token)
    if task.status is TaskStatus.COMMITTING:
        return
    if task.cancel_requested:
        raise Cancelled
    values: dict[str, Any] = {}
    if draft is not None:
        if (await uow.vaults.get(task.vault_id)).state is VaultState.READ_ONLY:
            raise VaultReadOnly
        await _check_live(uow, task, draft)
        tenant = await uow.tenants.get()
        await uow.quota.check_storage(tenant.quotas, task.bytes_stored_before + draft.bytes_stored)
        stored = task.bytes_stored_before + draft.bytes_stored
        values = {"prepared": draft.model_dump(mode="json"), "prepared_token": grant.token, "bytes_stored": stored}
    if not await uow.tasks.move(grant.task_id, TaskStatus.COMMITTING, phase="committing", **values):
        raise StaleToken


async def _check_live(uow: UnitOfWork, task: Task, draft: PointDraft) -> None:
    roots = [bytes.fromhex(disk.root) for disk in draft.disks]
    live = await uow.chunks.known(task.vault_id, roots)
    if set(roots) - live.keys():
        raise ChunkNotLive
    if draft.parent_point_id is not None and await uow.points.find(draft.parent_point_id) is None:
        raise ChunkNotLive


async def commit_point(uow: UnitOfWork, grant: Grant, *, adopt: int | None = None) -> None:
    """Write the restore point with its retention, count its bytes, tell the others, queue the snapshot's removal.

    Repeating it after a lost answer changes nothing. ``adopt``: the point of an earlier attempt whose manifest stands.

    Raises:
        StaleToken: the attempt is not current, or there is nothing prepared under that token.
    """
    task = await uow.tasks.find(grant.task_id, lock=True)
    if task is not None and task.status is TaskStatus.COMPLETED and task.token == grant.token:
        return
    states = (TaskStatus.COMMITTING,) if adopt is None else (TaskStatus.RUNNING,)
    task = await uow.tasks.held(grant.task_id, grant.token, *states)
    token = grant.token if adopt is None else adopt
    if task.prepared is None or task.prepared_token != token:
        raise StaleToken
    draft = PointDraft.model_validate(task.prepared)
    tenant, machine = await uow.tenants.get(), await _machine(uow, task)
    await _write(uow, task, draft, token, tenant)
    if draft.cbt_unsafe and not machine.cbt_unsafe:
        await uow.machines.change(machine.id, cbt_unsafe=True)
    after = await uow.quota.add_storage(task.bytes_stored)
    await warn_when_near(uow, tenant.quotas, Resource.STORAGE, after - task.bytes_stored, after)
    await report_usage(uow, tenant, Resource.STORAGE, Resource.BACKUPS)
    await queue_removals(uow, task)
    await uow.tasks.move(task.id, TaskStatus.COMPLETED, **_shown(draft))


async def _machine(uow: UnitOfWork, task: Task) -> Machine:
    assert task.vm_id is not None
    return await uow.machines.get(task.vm_id, lock=True)


async def _write(uow: UnitOfWork, task: Task, draft: PointDraft, token: int, tenant: Tenant) -> None:
    committed_at = await uow.database_now()
    kept = keep_until(committed_at, tenant.backup_retention_days, task.params.get("retention_days"))
    point = draft.model_dump(exclude={"disks", "cbt_unsafe"}) | {
        "id": task.id,
        "vm_id": task.vm_id,
        "server_id": task.server_id,
        "vault_id": task.vault_id,
        "job_id": task.job_id,
        "token": token,
        "state": str(PointState.LIVE),
        "committed_at": committed_at,
        "keep_until": kept,
    }
    disks = [disk.model_dump() | {"root": bytes.fromhex(disk.root)} for disk in draft.disks]
    await uow.points.add(point, disks)
    fact = BackupCompleted(
        job_id=_known(task.job_id),
        task_id=task.id,
        vm_id=_known(task.vm_id),
        restore_point_id=task.id,
        mode=draft.mode,
        bytes_read=draft.bytes_read,
        bytes_new=draft.bytes_new,
        bytes_stored=draft.bytes_stored,
        committed_at=committed_at,
        keep_until=kept,
    )
    await uow.publish(fact, subject=str(task.id))


def _known(value: UUID | None) -> UUID:
    assert value is not None
    return value


def _shown(draft: PointDraft) -> dict[str, Any]:
    return {
        "phase": "completed",
        "mode": draft.mode,
        # The last progress report may not have been sent: a short backup commits before its first renewal.
        "transport": " + ".join(sorted({disk.transport for disk in draft.disks})),
        "transport_reason": "; ".join(sorted({disk.transport_reason for disk in draft.disks})),
        "bytes_read": draft.bytes_read,
        "bytes_skipped": draft.bytes_skipped,
        "bytes_new": draft.bytes_new,
        "limiting_stage": draft.limiting_stage,
        "warnings": draft.warnings,
        "error": None,
    }


async def complete_restore(
    uow: UnitOfWork,
    grant: Grant,
    progress: Progress,
    result: dict[str, Any],
    warnings: Sequence[Problem],
    machine: VirtualMachine | None = None,
) -> None:
    """End a restore well; a machine that it made gets a row of its own. Raises StaleToken."""
    task = await uow.tasks.held(grant.task_id, grant.token)
    assert task.kind is TaskKind.RESTORE
    shown = [dict(warning) for warning in warnings]
    if machine is not None:
        vm_id = await uow.machines.store(machine_seen(task.server_id, machine, uow.clock.now()))
        result = result | {"vm_id": str(vm_id), "moid": machine.moid}
    figures = progress.model_dump(include={"mode", "transport", "transport_reason", "bytes_read", "bytes_skipped"})
    ended = {"phase": "completed", "result": result, "warnings": shown, "error": None}
    await uow.tasks.move(task.id, TaskStatus.COMPLETED, bytes_total=progress.bytes_total, **figures, **ended)
    made = result.get("vm_id")
    fact = RestoreCompleted(
        job_id=_known(task.job_id),
        restore_point_id=_known(task.point_id),
        kind=task.params["restore"],
        vm_id=None if made is None else UUID(made),
    )
    await uow.publish(fact, subject=str(task.job_id))
