"""What the quota counters stand for, counted anew from the rows themselves."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, func, literal, or_, select, text

from backup_engine.domain.job import TaskKind, TaskStatus
from backup_engine.domain.quota import Resource
from backup_engine.persistence.rows import Repository
from backup_engine.persistence.tables import chunks, collections, esxi_servers, quota_counters, tasks, virtual_machines

NO_POINT = (str(TaskStatus.FAILED), str(TaskStatus.CANCELLED))
"""How a backup ends that leaves no restore point and gives its place back."""

ONE_AT_A_TIME = text("select pg_advisory_xact_lock(hashtextextended(:tenant, 0))")
PATIENCE = text("set local statement_timeout = '5min'")
"""A large organization has a million chunks; nobody waits for their sum."""


class CountedRepository(Repository):
    """Counts of the tenant's rows, each by one statement."""

    async def alone(self) -> None:
        """Wait until nobody else reconciles this organization; until the transaction ends nobody else does."""
        await self._session.execute(ONE_AT_A_TIME, {"tenant": f"usage:{self._uow.tenant_id}"})

    async def places(self, month: date) -> dict[Resource, int]:
        """Every counter of pieces as it should be; backups are those of the usage month that begins on ``month``."""
        return {
            Resource.ESXI_SERVERS: await self._servers(),
            Resource.VMS: await self._machines(),
            Resource.BACKUPS: await self._backups(month),
        }

    async def storage_drift(self) -> int:
        """By how much the counter of stored bytes is wrong, as found minus said: one statement, which sees both at the
        same moment and locks neither, since summing up the chunks takes longer than a commit may wait.
        """
        said = (
            select(quota_counters.c.used)
            .where(self._mine(quota_counters, resource=str(Resource.STORAGE)))
            .scalar_subquery()
        )
        await self._session.execute(PATIENCE)
        return int(await self._session.scalar(select(self._stored_bytes() - func.coalesce(said, 0))) or 0)

    async def protected_machines(self) -> list[UUID]:
        """Machines that hold a place, but for those that are being backed up."""
        busy = select(tasks.c.vm_id).where(self._mine(tasks), tasks.c.finished_at.is_(None), tasks.c.vm_id.is_not(None))
        rows = await self._session.scalars(
            select(virtual_machines.c.id)
            .where(
                self._mine(virtual_machines), virtual_machines.c.protected.is_(True), virtual_machines.c.id.not_in(busy)
            )
            .order_by(virtual_machines.c.id)
        )
        return [UUID(str(row)) for row in rows]

    async def _servers(self) -> int:
        query = select(func.count()).select_from(esxi_servers).where(self._mine(esxi_servers))
        return int(await self._session.scalar(query) or 0)

    async def _machines(self) -> int:
        query = select(func.count()).select_from(virtual_machines)
        return int(
            await self._session.scalar(
                query.where(self._mine(virtual_machines), virtual_machines.c.protected.is_(True))
            )
            or 0
        )

    async def _backups(self, month: date) -> int:
        query = select(func.count()).select_from(tasks)
        mine = self._mine(tasks, kind=str(TaskKind.BACKUP), quota_month=month)
        return int(await self._session.scalar(query.where(mine, tasks.c.status.not_in(NO_POINT))) or 0)

    def _stored_bytes(self) -> ColumnElement[int]:
        """Bytes of live chunks, without those of attempts that made no point (yet).

        A running attempt's bytes are counted when it commits; a failed one's are nobody's until they are collected,
        and then they are no longer live.
        """
        live = (
            select(func.coalesce(func.sum(chunks.c.stored_bytes), 0))
            .where(self._mine(chunks, state="live"))
            .scalar_subquery()
        )
        collected = (
            select(collections.c.collected_until)
            .where(collections.c.tenant_id == tasks.c.tenant_id, collections.c.vault_id == tasks.c.vault_id)
            .scalar_subquery()
        )
        pointless = (
            select(func.coalesce(func.sum(tasks.c.bytes_stored), 0))
            .where(
                self._mine(tasks, kind=str(TaskKind.BACKUP)),
                tasks.c.status != str(TaskStatus.COMPLETED),
                or_(tasks.c.finished_at.is_(None), collected.is_(None), tasks.c.finished_at > collected),
            )
            .scalar_subquery()
        )
        return func.greatest(literal(0), live - pointless)
