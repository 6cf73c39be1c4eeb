"""/api/restore-points/ and /api/backup-chains/: what can be restored."""

from __future__ import annotations

from uuid import UUID

from common.web import Page
from fastapi import APIRouter

from backup_engine.api.dependencies import PAGE_SIZE, Language, PageSize, Reader, ToolsDep, after, opened, paged
from backup_engine.api.schemas.backups import ChainOut, PointOut

router = APIRouter(prefix="/api", tags=["Restore points"])


@router.get("/restore-points/", response_model=Page[PointOut])
async def points(
    who: Reader,
    tools: ToolsDep,
    language: Language,
    vm_id: UUID | None = None,
    cursor: str | None = None,
    limit: PageSize = PAGE_SIZE,
) -> Page[PointOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.points.page(vm_id, after(cursor), limit + 1)
    return paged(rows, limit, lambda row: PointOut.of(row, language), lambda row: row.id)


@router.get("/restore-points/{point_id}/")
async def point(point_id: UUID, who: Reader, tools: ToolsDep, language: Language) -> PointOut:
    async with opened(tools, who) as (uow, _tenant):
        return PointOut.of(await uow.points.get(point_id), language)


@router.get("/backup-chains/", response_model=Page[ChainOut])
async def chains(
    who: Reader, tools: ToolsDep, cursor: str | None = None, limit: PageSize = PAGE_SIZE
) -> Page[ChainOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.points.chains(after(cursor), limit + 1)
    return paged(rows, limit, ChainOut.model_validate, lambda row: row["vm_id"])
