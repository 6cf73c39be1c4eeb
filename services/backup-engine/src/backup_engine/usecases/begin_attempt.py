"""Claim a ready task: the fencing token rises, the lease begins, and the attempt gets all it needs to know."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from backup_engine.domain.job import Task, TaskKind, TaskStatus
from backup_engine.domain.lease import LEASE
from backup_engine.domain.vault import VaultState
from backup_engine.errors import RestorePointNotFound
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.control_plane import (
    BackupOrder,
    Claim,
    Grant,
    Order,
    PointDraft,
    PointKey,
    RemovalOrder,
    RestoreDisksOrder,
    RestoreMachineOrder,
    VaultAccess,
)


async def begin_attempt(
    uow: UnitOfWork, task_id: UUID, runner: str, deployment_id: str, lease: timedelta = LEASE
) -> Claim | None:
    """Claim the task for this runner; None when it is not ready any more.

    Raises:
        VaultBeingPrepared: the vault's keys are not there yet; the claim is rolled back with the transaction.
    """
    task = await uow.tasks.find(task_id, lock=True)
    if task is None or task.status is not TaskStatus.READY:
        return None
    vault = await uow.vaults.get(task.vault_id)
    if task.kind is TaskKind.BACKUP and vault.state is VaultState.READ_ONLY:
        return None  # It stays ready; the dispatcher publishes it again.
    sealed = await uow.vaults.sealed_keyring(task.vault_id)
    order, pinned = await _order(uow, task)
    token = task.token + 1
    await uow.tasks.claim(task, runner, lease, epoch=vault.gc_epoch, parent_point_id=pinned)
    return Claim(
        grant=Grant(uow.tenant_id, task.id, token, lease),
        kind=task.kind,
        order=order,
        server_id=task.server_id,
        vault=VaultAccess(task.vault_id, sealed),
        deployment_id=deployment_id,
        claimed_at=await uow.database_now(),
        prepared=None if task.prepared is None else PointDraft.model_validate(task.prepared),
        prepared_token=task.prepared_token,
        trace=task.params.get("trace", {}),
    )


async def _order(uow: UnitOfWork, task: Task) -> tuple[Order, UUID | None]:
    """What the attempt is to do, and the point that it builds on."""
    if task.kind is TaskKind.BACKUP:
        return await _backup(uow, task)
    if task.kind is TaskKind.RESTORE:
        return await _restore(uow, task), None
    row = await uow.ledger.get(UUID(task.params["ledger_id"]))
    order = RemovalOrder(row.name, row.vm_moid, row.moref, row.host_task, sent=row.state == "removing")
    return order, None


async def _backup(uow: UnitOfWork, task: Task) -> tuple[Order, UUID | None]:
    assert task.vm_id is not None
    machine = await uow.machines.get(task.vm_id)
    parent = await uow.points.newest(task.vm_id)
    if parent is not None and parent.vault_id != task.vault_id:
        parent = None  # maps refer to objects of their own vault only
    order = BackupOrder(
        vm_moid=machine.moid,
        quiesce=task.params["quiesce"],
        parent=None if parent is None else PointKey(parent.id, parent.token),
        force_full=machine.cbt_unsafe,
        first_full=task.attempts == 0 and not await uow.points.any_in(task.vault_id),
        prefer_resumable=task.losses > 0,
    )
    return order, None if parent is None else parent.id


async def _restore(uow: UnitOfWork, task: Task) -> Order:
    point = None if task.point_id is None else await uow.points.find(task.point_id)
    if point is None:
        raise RestorePointNotFound
    key = PointKey(point.id, point.token)
    params: dict[str, Any] = task.params
    if params["restore"] == "disks":
        return RestoreDisksOrder(key, tuple(params["disk_keys"]), export=params["export"])
    return RestoreMachineOrder(
        key,
        name=params["name"],
        datastore=params["datastore"],
        networks=params["networks"],
        power_on=params["power_on"],
        earlier_tokens=task.token + 1,
    )
