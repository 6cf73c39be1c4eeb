"""/api/restore-points/ and /api/backup-chains/: what can be restored."""

from __future__ import annotations

from uuid import UUID

from common.web import LanguageDep, Page, PagingDep
from fastapi import APIRouter

from backup_engine.api.dependencies import Manager, Reader, ToolsDep, opened
from backup_engine.api.schemas.backups import ChainOut, PointOut
from backup_engine.domain.point import PointState
from backup_engine.domain.tenant import Act
from backup_engine.usecases.delete_point import delete_point, undelete_point

router = APIRouter(prefix="/api", tags=["Restore points"])


@router.get("/restore-points/", response_model=Page[PointOut])
async def points(
    who: Reader,
    tools: ToolsDep,
    language: LanguageDep,
    paging: PagingDep,
    vm_id: UUID | None = None,
    deleted: bool = False,
) -> Page[PointOut]:
    async with opened(tools, who) as (uow, _tenant):
        state = PointState.TOMBSTONED if deleted else PointState.LIVE
        rows = await uow.points.page(vm_id, paging.after, paging.rows, state)
    return paging.page(rows, lambda row: PointOut.of(row, language), lambda row: (row.id,))


@router.get("/restore-points/{point_id}/")
async def point(point_id: UUID, who: Reader, tools: ToolsDep, language: LanguageDep) -> PointOut:
    async with opened(tools, who) as (uow, _tenant):
        return PointOut.of(await uow.points.get(point_id), language)


@router.delete("/restore-points/{point_id}/")
async def delete(point_id: UUID, who: Manager, tools: ToolsDep, language: LanguageDep) -> PointOut:
    """Delete a point; for seven days it is at `?deleted=true` and can be brought back. Owner and admins are told."""
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):
        return PointOut.of(await delete_point(uow, tenant, point_id, actor=who.user_id), language)


@router.post("/restore-points/{point_id}/undelete/")
async def undelete(point_id: UUID, who: Manager, tools: ToolsDep, language: LanguageDep) -> PointOut:
    """Bring a deleted point back."""
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):
        return PointOut.of(await undelete_point(uow, tenant, point_id, actor=who.user_id), language)


@router.get("/backup-chains/", response_model=Page[ChainOut])
async def chains(who: Reader, tools: ToolsDep, paging: PagingDep) -> Page[ChainOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.points.chains(paging.after, paging.rows)
    return paging.page(rows, ChainOut.model_validate, lambda row: (row["vm_id"],))
