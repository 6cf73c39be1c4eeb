"""A person deletes a restore point, and may think again: a tombstone for seven days, then garbage collection."""

from __future__ import annotations

from uuid import UUID

from backup_engine.domain.collection import UNDO
from backup_engine.domain.point import PointState, RestorePoint
from backup_engine.domain.tenant import Tenant
from backup_engine.errors import RestorePointGone
from backup_engine.events import PointsDeleted
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.protect_machines import protect, release_unprotected


async def delete_point(uow: UnitOfWork, tenant: Tenant, point_id: UUID, *, actor: UUID) -> RestorePoint:
    """Put a tombstone on a point, and tell of it. A second call changes nothing and tells nobody.

    What reads the point or builds on it goes on. Its bytes count until they are collected, its machine no longer once
    nothing else protects it.

    Raises:
        RestorePointNotFound: there is none, or none any more.
    """
    point = await uow.points.any_state(point_id, lock=True)
    if point.state is PointState.TOMBSTONED:
        return point
    deleted = await uow.points.tombstone(point_id)
    await release_unprotected(uow, tenant, [point.vm_id])
    await uow.audit("restore_point.deleted", str(point_id), actor=actor, details={"vm": str(point.vm_id)})
    assert deleted.tombstoned_at is not None
    fact = PointsDeleted(
        restore_point_ids=[point_id],
        vm_id=point.vm_id,
        deleted_by=actor,
        deleted_at=deleted.tombstoned_at,
        undo_until=deleted.tombstoned_at + UNDO,
    )
    await uow.publish(fact, subject=str(point.vm_id))
    return deleted


async def undelete_point(uow: UnitOfWork, tenant: Tenant, point_id: UUID, *, actor: UUID) -> RestorePoint:
    """Bring a deleted point back. One that is not deleted stays as it is.

    Raises:
        RestorePointNotFound: there is none, or none any more.
        RestorePointGone: the seven days are over; it is being collected.
        QuotaReached: its machine would be one too many; nothing is changed.
    """
    point = await uow.points.any_state(point_id, lock=True)
    if point.state is PointState.LIVE:
        return point
    revived = await uow.points.revive(point_id)
    if revived is None:
        raise RestorePointGone
    await protect(uow, tenant, [point.vm_id])
    await uow.audit("restore_point.undeleted", str(point_id), actor=actor, details={"vm": str(point.vm_id)})
    return revived
