"""/api/restore/: machines and disks back from a restore point."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common.idempotency import once
from common.web import IdempotencyKey, LanguageDep, Page, PagingDep
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from backup_engine.api.dependencies import InPerson, Reader, ToolsDep, Writer, opened
from backup_engine.api.ranges import content_headers, wanted_range
from backup_engine.api.schemas.restores import DiskRestoreIn, MachineRestoreIn, RestoreJobOut
from backup_engine.domain.job import Task, TaskStatus
from backup_engine.domain.point import PointDisk, RestorePoint
from backup_engine.domain.tenant import Act
from backup_engine.errors import ContentNotReady, DiskNotFound, ExportFolderMissing, JobNotFound, RestoreJobNotFound
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.cancel_job import cancel_job
from backup_engine.usecases.request_restore import request_disk_restore, request_machine_restore

router = APIRouter(prefix="/api/restore", tags=["Restore"])
KIND = "restore"


async def _shown(uow: UnitOfWork, job_id: UUID, language: str) -> RestoreJobOut:
    try:
        return RestoreJobOut.of_restore(*await uow.jobs.get(job_id, KIND), language)
    except JobNotFound:
        raise RestoreJobNotFound from None


@router.post("/vm/", status_code=202, response_model=RestoreJobOut)
async def restore_machine(
    wanted: MachineRestoreIn,
    request: Request,
    who: Writer,
    tools: ToolsDep,
    language: LanguageDep,
    key: IdempotencyKey = None,
) -> JSONResponse:
    async with opened(tools, who, Act.RESTORE) as (uow, _tenant):

        async def act() -> tuple[int, Any]:
            job_id = await request_machine_restore(uow, requested_by=who.user_id, **wanted.model_dump())
            return 202, (await _shown(uow, job_id, language)).model_dump(mode="json")

        status, answer = await once(uow, who.tenant_id, "POST /api/restore/vm/", key, await request.body(), act)
    return JSONResponse(answer, status)


@router.post("/disk/", status_code=202, response_model=RestoreJobOut)
async def restore_disk(
    wanted: DiskRestoreIn,
    request: Request,
    who: Writer,
    tools: ToolsDep,
    language: LanguageDep,
    key: IdempotencyKey = None,
) -> JSONResponse:
    if wanted.export and not tools.has_export_folder:
        raise ExportFolderMissing
    async with opened(tools, who, Act.RESTORE) as (uow, _tenant):

        async def act() -> tuple[int, Any]:
            job_id = await request_disk_restore(
                uow,
                restore_point_id=wanted.restore_point_id,
                disk_key=wanted.disk_key,
                export=wanted.export,
                requested_by=who.user_id,
            )
            return 202, (await _shown(uow, job_id, language)).model_dump(mode="json")

        status, answer = await once(uow, who.tenant_id, "POST /api/restore/disk/", key, await request.body(), act)
    return JSONResponse(answer, status)


@router.get("/jobs/", response_model=Page[RestoreJobOut])
async def jobs(who: Reader, tools: ToolsDep, language: LanguageDep, paging: PagingDep) -> Page[RestoreJobOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.jobs.page(KIND, paging.after, paging.rows)
    return paging.page(rows, lambda row: RestoreJobOut.of_restore(*row, language), lambda row: (row[0].id,))


@router.get("/jobs/{job_id}/")
async def job(job_id: UUID, who: Reader, tools: ToolsDep, language: LanguageDep) -> RestoreJobOut:
    async with opened(tools, who) as (uow, _tenant):
        return await _shown(uow, job_id, language)


@router.post("/jobs/{job_id}/cancel/", status_code=202)
async def cancel(job_id: UUID, who: Writer, tools: ToolsDep, language: LanguageDep) -> RestoreJobOut:
    async with opened(tools, who, Act.RESTORE) as (uow, _tenant):
        await _shown(uow, job_id, language)
        await cancel_job(uow, job_id, KIND, actor=who.user_id)
        return await _shown(uow, job_id, language)


@router.get("/jobs/{job_id}/disks/{disk_key}/content", response_class=StreamingResponse)
async def content(job_id: UUID, disk_key: int, request: Request, who: InPerson, tools: ToolsDep) -> Response:
    """The disk's raw bytes, holes as zeros; honours one Range. The ETag is of the point and the disk."""
    async with opened(tools, who) as (uow, _tenant):
        point, disk = await _disk(uow, job_id, disk_key)
    etag = f'"{point.id}.{point.token}.{disk.key}"'
    part = wanted_range(request.headers.get("range"), request.headers.get("if-range"), etag, disk.capacity_bytes)
    if part is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{disk.capacity_bytes}"})
    opened_point = await tools.readers.open(who.tenant_id, point.vault_id, point.id, point.token)
    headers = content_headers(part, etag, f"{point.vm_name}-{disk.key}.raw")
    return StreamingResponse(
        tools.readers.raw(opened_point, disk.key, part.start, part.length),
        status_code=206 if part.partial else 200,
        headers=headers,
        media_type="application/octet-stream",
    )


async def _disk(uow: UnitOfWork, job_id: UUID, disk_key: int) -> tuple[RestorePoint, PointDisk]:
    task = await _completed(uow, job_id)
    if task.params["restore"] != "disks" or disk_key not in task.params["disk_keys"] or task.point_id is None:
        raise DiskNotFound
    point = await uow.points.get(task.point_id)
    disk = point.disk(disk_key)
    if disk is None:
        raise DiskNotFound
    return point, disk


async def _completed(uow: UnitOfWork, job_id: UUID) -> Task:
    try:
        _job, tasks = await uow.jobs.get(job_id, KIND)
    except JobNotFound:
        raise RestoreJobNotFound from None
    if tasks[0].status is not TaskStatus.COMPLETED:
        raise ContentNotReady(status=str(tasks[0].status))
    return tasks[0]
