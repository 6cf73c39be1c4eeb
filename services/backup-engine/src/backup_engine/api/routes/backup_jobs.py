"""/api/backup-jobs/: ask for a backup, watch it, cancel it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common.idempotency import once
from common.web import IdempotencyKey, LanguageDep, Page, PagingDep
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from backup_engine.api.dependencies import Reader, ToolsDep, Writer, opened
from backup_engine.api.schemas.backups import BackupJobIn, JobOut
from backup_engine.domain.tenant import Act
from backup_engine.usecases.cancel_job import cancel_job
from backup_engine.usecases.request_backup import request_backup

router = APIRouter(prefix="/api/backup-jobs", tags=["Backup jobs"])
KIND = "backup"


@router.post("/", status_code=202, response_model=JobOut)
async def request_job(
    wanted: BackupJobIn,
    request: Request,
    who: Writer,
    tools: ToolsDep,
    language: LanguageDep,
    key: IdempotencyKey = None,
) -> JSONResponse:
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):

        async def act() -> tuple[int, Any]:
            job_id = await request_backup(
                uow,
                tenant,
                requested_by=who.user_id,
                configuration_id=wanted.configuration_id,
                vm_id=wanted.vm_id,
            )
            return 202, JobOut.of(*await uow.jobs.get(job_id, KIND), language).model_dump(mode="json")

        status, answer = await once(uow, who.tenant_id, "POST /api/backup-jobs/", key, await request.body(), act)
    return JSONResponse(answer, status)


@router.get("/", response_model=Page[JobOut])
async def jobs(who: Reader, tools: ToolsDep, language: LanguageDep, paging: PagingDep) -> Page[JobOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.jobs.page(KIND, paging.after, paging.rows)
    return paging.page(rows, lambda row: JobOut.of(*row, language), lambda row: (row[0].id,))


@router.get("/{job_id}/")
async def job(job_id: UUID, who: Reader, tools: ToolsDep, language: LanguageDep) -> JobOut:
    async with opened(tools, who) as (uow, _tenant):
        return JobOut.of(*await uow.jobs.get(job_id, KIND), language)


@router.post("/{job_id}/cancel/", status_code=202)
async def cancel(job_id: UUID, who: Writer, tools: ToolsDep, language: LanguageDep) -> JobOut:
    async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
        await cancel_job(uow, job_id, KIND, actor=who.user_id)
        return JobOut.of(*await uow.jobs.get(job_id, KIND), language)
