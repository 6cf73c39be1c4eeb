"""Queue the removal of snapshots that our attempts made: each is a task of its own, polled by the host's task."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from common.ids import uuid7

from backup_engine.domain.job import Task, TaskKind
from backup_engine.persistence.ledger import LedgerRow
from backup_engine.persistence.unit_of_work import UnitOfWork


async def queue_removals(
    uow: UnitOfWork, task: Task, *, token: int | None = None, not_before: datetime | None = None
) -> int:
    """Queue a removal for each open ledger row of the task (or of one attempt); returns how many.

    Args:
        uow: the transaction that ends the attempt.
        task: whose snapshots.
        token: one attempt's alone.
        not_before: the end of the attempt's lease and a minute, when its runner may still be alive.
    """
    rows = await uow.ledger.open_of(task.id, token)
    for row in rows:
        await queue_removal(uow, row, task.vault_id, task.site_id, not_before)
    return len(rows)


async def queue_removal(
    uow: UnitOfWork, row: LedgerRow, vault_id: UUID, site_id: UUID, not_before: datetime | None = None
) -> None:
    """Queue one row's removal and note the task in the ledger, so that no second one is made."""
    removal_id = uuid7()
    await uow.tasks.add(
        id=removal_id,
        kind=str(TaskKind.REMOVE_SNAPSHOT),
        vm_id=row.vm_id,
        server_id=row.server_id,
        vault_id=vault_id,
        site_id=site_id,
        queue=await uow.vaults.queue_of(site_id),
        params={"ledger_id": str(row.id)},
        not_before=not_before,
    )
    await uow.ledger.change(row.id, removal_task_id=removal_id)
