"""What the quota counters stand for, counted anew from the rows themselves."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import func, or_, select

from backup_engine.domain.job import TaskKind, TaskStatus
from backup_engine.domain.quota import Resource
from backup_engine.persistence.rows import Repository
from backup_engine.persistence.tables import chunks, collections, esxi_servers, tasks, virtual_machines

NO_POINT = (str(TaskStatus.FAILED), str(TaskStatus.CANCELLED))
"""How a backup ends that leaves no restore point and gives its place back."""


class CountedRepository(Repository):
    """Counts of the tenant's rows, each by one statement."""

    async def places(self, month: date) -> dict[Resource, int]:
        """Every counter as it should be; backups are those of the usage month that begins on ``month``."""
        return {
            Resource.ESXI_SERVERS: await self._servers(),
            Resource.VMS: await self._machines(),
            Resource.BACKUPS: await self._backups(month),
            Resource.STORAGE: await self._stored_bytes(),
        }

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

    async def _stored_bytes(self) -> int:
        """Bytes of live chunks, without those of attempts that made no point (yet).

        A running attempt's bytes are counted when it commits; a failed one's are nobody's until they are collected,
        and then they are no longer live.
        """
        live = await self._session.scalar(
            select(func.sum(chunks.c.stored_bytes)).where(self._mine(chunks, state="live"))
        )
        collected = (
            select(collections.c.collected_until)
            .where(collections.c.tenant_id == tasks.c.tenant_id, collections.c.vault_id == tasks.c.vault_id)
            .scalar_subquery()
        )
        pointless = await self._session.scalar(
            select(func.sum(tasks.c.bytes_stored)).where(
                self._mine(tasks, kind=str(TaskKind.BACKUP)),
                tasks.c.status != str(TaskStatus.COMPLETED),
                or_(tasks.c.finished_at.is_(None), collected.is_(None), tasks.c.finished_at > collected),
            )
        )
        return max(0, int(live or 0) - int(pointless or 0))
