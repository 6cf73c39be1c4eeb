"""Restore points and their disks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, insert, select, update

from backup_engine.domain.collection import UNDO
from backup_engine.domain.point import PointDisk, PointState, RestorePoint
from backup_engine.errors import RestorePointNotFound
from backup_engine.persistence.rows import Repository, build
from backup_engine.persistence.tables import point_disks, restore_points, virtual_machines


class PointRepository(Repository):
    """Committed points of the tenant; tombstoned ones are shown where they are asked for, and read by nobody."""

    async def add(self, point: dict[str, Any], disks: Sequence[dict[str, Any]]) -> None:
        await self._session.execute(insert(restore_points).values(tenant_id=self._uow.tenant_id, **point))
        for disk in disks:
            await self._session.execute(
                insert(point_disks).values(tenant_id=self._uow.tenant_id, point_id=point["id"], **disk)
            )

    async def get(self, point_id: UUID) -> RestorePoint:
        point = await self.find(point_id)
        if point is None or point.state is not PointState.LIVE:
            raise RestorePointNotFound
        return point

    async def find(self, point_id: UUID) -> RestorePoint | None:
        query = select(restore_points).where(self._mine(restore_points, id=point_id))
        row = (await self._session.execute(query)).mappings().one_or_none()
        return None if row is None else (await self._with_disks([row]))[0]

    async def any_state(self, point_id: UUID, *, lock: bool = False) -> RestorePoint:
        """A point, deleted or not. Raises RestorePointNotFound."""
        if lock:
            mine = self._mine(restore_points, id=point_id)
            await self._session.execute(select(restore_points.c.id).where(mine).with_for_update())
        point = await self.find(point_id)
        if point is None:
            raise RestorePointNotFound
        return point

    async def tombstone(self, point_id: UUID) -> RestorePoint:
        """Let a point be deleted from now on, by the database's clock."""
        await self._session.execute(
            update(restore_points)
            .where(self._mine(restore_points, id=point_id))
            .values(state=str(PointState.TOMBSTONED), tombstoned_at=func.clock_timestamp())
        )
        return await self.any_state(point_id)

    async def revive(self, point_id: UUID) -> RestorePoint | None:
        """Take a tombstone away, while it is not over by the database's clock."""
        revived = await self._session.execute(
            update(restore_points)
            .where(self._mine(restore_points, id=point_id, state=str(PointState.TOMBSTONED)))
            .where(restore_points.c.tombstoned_at > func.clock_timestamp() - UNDO)
            .values(state=str(PointState.LIVE), tombstoned_at=None)
            .returning(restore_points.c.id)
        )
        return await self.get(point_id) if revived.scalar_one_or_none() else None

    async def newest(self, vm_id: UUID) -> RestorePoint | None:
        """The last committed point of a machine: the parent of its next backup (D12)."""
        query = (
            select(restore_points)
            .where(self._mine(restore_points, vm_id=vm_id, state=str(PointState.LIVE)))
            .order_by(restore_points.c.committed_at.desc(), restore_points.c.id.desc())
            .limit(1)
        )
        row = (await self._session.execute(query)).mappings().one_or_none()
        return None if row is None else (await self._with_disks([row]))[0]

    async def page(
        self, vm_id: UUID | None, after: UUID | None, size: int, state: PointState = PointState.LIVE
    ) -> list[RestorePoint]:
        """Oldest first: a chain in its order."""
        query = (
            select(restore_points)
            .where(self._mine(restore_points, state=str(state)))
            .order_by(restore_points.c.id)
            .limit(size)
        )
        if vm_id is not None:
            query = query.where(restore_points.c.vm_id == vm_id)
        if after is not None:
            query = query.where(restore_points.c.id > after)
        return await self._with_disks((await self._session.execute(query)).mappings().all())

    async def chains(self, after: UUID | None, size: int) -> list[dict[str, Any]]:
        """One row per machine that has points: how many, since when, how much they store."""
        query = (
            select(
                restore_points.c.vm_id,
                virtual_machines.c.name.label("vm_name"),
                func.count().label("points_count"),
                func.min(restore_points.c.committed_at).label("oldest_at"),
                func.max(restore_points.c.committed_at).label("newest_at"),
                func.sum(restore_points.c.bytes_stored).label("bytes_stored"),
            )
            .join(
                virtual_machines,
                (virtual_machines.c.tenant_id == restore_points.c.tenant_id)
                & (virtual_machines.c.id == restore_points.c.vm_id),
            )
            .where(self._mine(restore_points, state=str(PointState.LIVE)))
            .group_by(restore_points.c.vm_id, virtual_machines.c.name)
            .order_by(restore_points.c.vm_id)
            .limit(size)
        )
        if after is not None:
            query = query.where(restore_points.c.vm_id > after)
        return [dict(row) for row in (await self._session.execute(query)).mappings()]

    async def any_in(self, vault_id: UUID) -> bool:
        """Whether the vault has a point; a first full need not look up chunks."""
        return bool(await self._session.scalar(select(exists().where(self._mine(restore_points, vault_id=vault_id)))))

    async def of_machines(self, vm_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the machines that have a live point."""
        rows = await self._session.scalars(
            select(restore_points.c.vm_id)
            .where(
                self._mine(restore_points, state=str(PointState.LIVE)),
                restore_points.c.vm_id.in_(vm_ids),
            )
            .distinct()
        )
        return {UUID(str(row)) for row in rows}

    async def _with_disks(self, rows: Sequence[Any]) -> list[RestorePoint]:
        found: dict[UUID, list[PointDisk]] = {}
        query = (
            select(point_disks)
            .where(self._mine(point_disks), point_disks.c.point_id.in_([row["id"] for row in rows]))
            .order_by(point_disks.c.point_id, point_disks.c.key)
        )
        for disk in (await self._session.execute(query)).mappings():
            found.setdefault(disk["point_id"], []).append(build(PointDisk, disk))
        return [
            build(RestorePoint, row, state=PointState(row["state"]), disks=tuple(found.get(row["id"], ())))
            for row in rows
        ]
