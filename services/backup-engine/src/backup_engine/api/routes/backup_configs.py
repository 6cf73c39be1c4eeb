"""/api/backup-configs/: which virtual machines are backed up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common.idempotency import once
from common.web import IdempotencyKey, Page, PagingDep
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from backup_engine.api.dependencies import Reader, ToolsDep, Writer, opened
from backup_engine.api.schemas.backups import ConfigurationChange, ConfigurationIn, ConfigurationOut
from backup_engine.domain.tenant import Act
from backup_engine.usecases.protect_machines import change_configuration, create_configuration, delete_configuration

router = APIRouter(prefix="/api/backup-configs", tags=["Backup configurations"])


@router.post("/", status_code=201, response_model=ConfigurationOut)
async def create(
    wanted: ConfigurationIn, request: Request, who: Writer, tools: ToolsDep, key: IdempotencyKey = None
) -> JSONResponse:
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):

        async def act() -> tuple[int, Any]:
            made = await create_configuration(uow, tenant, created_by=who.user_id, **wanted.model_dump())
            return 201, ConfigurationOut.of(made).model_dump(mode="json")

        status, answer = await once(uow, who.tenant_id, "POST /api/backup-configs/", key, await request.body(), act)
    return JSONResponse(answer, status)


@router.get("/", response_model=Page[ConfigurationOut])
async def configurations(who: Reader, tools: ToolsDep, paging: PagingDep) -> Page[ConfigurationOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.configurations.page(paging.after, paging.rows)
    return paging.page(rows, ConfigurationOut.of, lambda row: (row.id,))


@router.get("/{configuration_id}/")
async def configuration(configuration_id: UUID, who: Reader, tools: ToolsDep) -> ConfigurationOut:
    async with opened(tools, who) as (uow, _tenant):
        return ConfigurationOut.of(await uow.configurations.get(configuration_id))


@router.patch("/{configuration_id}/")
async def change(configuration_id: UUID, wanted: ConfigurationChange, who: Writer, tools: ToolsDep) -> ConfigurationOut:
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):
        values = wanted.model_dump(exclude_none=True)
        changed = await change_configuration(uow, tenant, configuration_id, actor=who.user_id, **values)
    return ConfigurationOut.of(changed)


@router.delete("/{configuration_id}/", status_code=204)
async def delete(configuration_id: UUID, who: Writer, tools: ToolsDep) -> Response:
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):
        await delete_configuration(uow, tenant, configuration_id, actor=who.user_id)
    return Response(status_code=204)
