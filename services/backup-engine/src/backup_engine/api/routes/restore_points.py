"""/api/restore-points/ and /api/backup-chains/: what can be restored."""

from __future__ import annotations

from uuid import UUID

from common.web import LanguageDep, Page, PagingDep
from fastapi import APIRouter

from backup_engine.api.dependencies import Reader, ToolsDep, opened
from backup_engine.api.schemas.backups import ChainOut, PointOut

router = APIRouter(prefix="/api", tags=["Restore points"])


@router.get("/restore-points/", response_model=Page[PointOut])
async def points(
    who: Reader,
    tools: ToolsDep,
    language: LanguageDep,
    paging: PagingDep,
    vm_id: UUID | None = None,
) -> Page[PointOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.points.page(vm_id, paging.after, paging.rows)
    return paging.page(rows, lambda row: PointOut.of(row, language), lambda row: (row.id,))


@router.get("/restore-points/{point_id}/")
async def point(point_id: UUID, who: Reader, tools: ToolsDep, language: LanguageDep) -> PointOut:
    async with opened(tools, who) as (uow, _tenant):
        return PointOut.of(await uow.points.get(point_id), language)


@router.get("/backup-chains/", response_model=Page[ChainOut])
async def chains(who: Reader, tools: ToolsDep, paging: PagingDep) -> Page[ChainOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.points.chains(paging.after, paging.rows)
    return paging.page(rows, ChainOut.model_validate, lambda row: (row["vm_id"],))
