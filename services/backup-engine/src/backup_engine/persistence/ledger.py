"""The snapshot ledger: every snapshot that we asked for, from before we asked until it is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import func, insert, select, update

from backup_engine.domain.snapshot import SnapshotName
from backup_engine.persistence.rows import Repository, build
from backup_engine.persistence.tables import snapshot_ledger


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One snapshot. ``moref`` is unknown while the creation may still be under way."""

    id: UUID
    task_id: UUID
    token: int
    server_id: UUID
    vm_id: UUID
    vm_moid: str
    name: str
    state: str
    moref: str | None
    removal_task_id: UUID | None
    host_task: str | None
    intended_at: datetime


class LedgerRepository(Repository):
    """Ledger rows of the tenant; one per attempt of a task."""

    async def intend(self, name: SnapshotName, server_id: UUID, vm_id: UUID, vm_moid: str) -> None:
        """Write down that this snapshot is about to be asked for; commit before asking."""
        await self._session.execute(
            insert(snapshot_ledger).values(
                tenant_id=self._uow.tenant_id,
                id=uuid7(),
                task_id=name.task_id,
                token=name.token,
                server_id=server_id,
                vm_id=vm_id,
                vm_moid=vm_moid,
                name=str(name),
                state="intended",
                intended_at=func.clock_timestamp(),
            )
        )

    async def created(self, task_id: UUID, token: int, moref: str) -> None:
        await self._session.execute(
            update(snapshot_ledger)
            .where(self._mine(snapshot_ledger, task_id=task_id, token=token, state="intended"))
            .values(state="created", moref=moref, created_at=func.clock_timestamp())
        )

    async def get(self, row_id: UUID) -> LedgerRow:
        query = select(snapshot_ledger).where(self._mine(snapshot_ledger, id=row_id))
        return build(LedgerRow, (await self._session.execute(query)).mappings().one())

    async def open_of(self, task_id: UUID, token: int | None = None) -> list[LedgerRow]:
        """Rows of a task (or of one attempt) that nobody is removing yet."""
        query = (
            select(snapshot_ledger)
            .where(
                self._mine(snapshot_ledger, task_id=task_id),
                snapshot_ledger.c.state != "removed",
                snapshot_ledger.c.removal_task_id.is_(None),
            )
            .order_by(snapshot_ledger.c.token)
            .with_for_update()
        )
        if token is not None:
            query = query.where(snapshot_ledger.c.token == token)
        return [build(LedgerRow, row) for row in (await self._session.execute(query)).mappings()]

    async def by_names(self, names: Sequence[str]) -> dict[str, LedgerRow]:
        query = select(snapshot_ledger).where(self._mine(snapshot_ledger), snapshot_ledger.c.name.in_(names))
        rows = [build(LedgerRow, row) for row in (await self._session.execute(query)).mappings()]
        return {row.name: row for row in rows}

    async def change(self, row_id: UUID, **values: Any) -> None:
        await self._session.execute(
            update(snapshot_ledger).where(self._mine(snapshot_ledger, id=row_id)).values(values)
        )

    async def removed(self, row_id: UUID) -> None:
        await self.change(row_id, state="removed", removed_at=func.clock_timestamp())
