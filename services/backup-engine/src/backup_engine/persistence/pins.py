"""Pins: who reads a point, or builds on it. A pinned point's row, and with it its chunks, does not go (D78)."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import ColumnElement, Table, delete, exists, func, insert, or_, select, update

from backup_engine.domain.job import ENDED
from backup_engine.domain.point import PointState
from backup_engine.errors import RestorePointNotFound
from backup_engine.persistence.rows import Repository
from backup_engine.persistence.tables import point_pins, restore_points, tasks


class PinRepository(Repository):
    """Pins of readers without a task, and the removal of points that nobody has pinned."""

    async def hold(self, point_id: UUID, lease: timedelta) -> UUID:
        """Pin a point for a reader who renews. Raises RestorePointNotFound."""
        live = self._mine(restore_points, id=point_id, state=str(PointState.LIVE))
        found = select(restore_points.c.id).where(live).with_for_update(key_share=True)
        if await self._session.scalar(found) is None:
            raise RestorePointNotFound
        pin_id = uuid7()
        await self._session.execute(
            insert(point_pins).values(
                tenant_id=self._uow.tenant_id, id=pin_id, point_id=point_id, held_until=func.clock_timestamp() + lease
            )
        )
        return pin_id

    async def renew(self, pin_id: UUID, lease: timedelta) -> None:
        await self._session.execute(
            update(point_pins)
            .where(self._mine(point_pins, id=pin_id))
            .values(held_until=func.clock_timestamp() + lease)
        )

    async def release(self, pin_id: UUID) -> None:
        await self._session.execute(delete(point_pins).where(self._mine(point_pins, id=pin_id)))

    async def remove_point(self, point_id: UUID) -> None:
        """Remove a tombstoned point's row, whose manifest is gone; one that is pinned stays."""
        await self._session.execute(
            delete(point_pins).where(
                self._mine(point_pins, point_id=point_id), point_pins.c.held_until < func.clock_timestamp()
            )
        )
        dead = self._mine(restore_points, id=point_id, state=str(PointState.TOMBSTONED))
        await self._session.execute(delete(restore_points).where(dead, unpinned(restore_points)))


def unpinned(points: Table) -> ColumnElement[bool]:
    """Whether no task reads or builds on the point, and no other reader's pin holds."""
    by_task = exists(
        select(tasks.c.id).where(
            tasks.c.tenant_id == points.c.tenant_id,
            or_(tasks.c.point_id == points.c.id, tasks.c.parent_point_id == points.c.id),
            tasks.c.status.not_in([str(status) for status in ENDED]),
        )
    )
    by_reader = exists(
        select(point_pins.c.id).where(
            point_pins.c.tenant_id == points.c.tenant_id,
            point_pins.c.point_id == points.c.id,
            point_pins.c.held_until > func.clock_timestamp(),
        )
    )
    return ~by_task & ~by_reader
