"""/api/esxi-servers/: hosts and vCenters, and talking to them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common.idempotency import once
from common.web import IdempotencyKey, LanguageDep, Page, PagingDep
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from backup_engine.api.dependencies import Reader, Tools, ToolsDep, Writer, opened
from backup_engine.api.schemas.inventory import (
    ConnectionOut,
    DatastoreOut,
    EsxiServerChange,
    EsxiServerIn,
    EsxiServerOut,
    NetworkOut,
    SyncOut,
)
from backup_engine.domain.tenant import Act
from backup_engine.errors.hypervisor import HypervisorError
from backup_engine.usecases.connect_server import (
    Answered,
    ask,
    record_answer,
    record_failure,
    record_inventory,
    target_of,
)
from backup_engine.usecases.register_server import change_server, register_server, remove_server
from backup_engine.usecases.request_restore import EVERYTHING

router = APIRouter(prefix="/api/esxi-servers", tags=["ESXi servers"])


@router.post("/", status_code=201, response_model=EsxiServerOut)
async def register(
    wanted: EsxiServerIn,
    request: Request,
    who: Writer,
    tools: ToolsDep,
    language: LanguageDep,
    key: IdempotencyKey = None,
) -> JSONResponse:
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):

        async def act() -> tuple[int, Any]:
            server = await register_server(
                uow,
                tenant,
                tools.box,
                hostname=wanted.hostname,
                port=wanted.port,
                username=wanted.username,
                password=wanted.password.get_secret_value(),
                thumbprint=wanted.thumbprint,
                created_by=who.user_id,
            )
            return 201, EsxiServerOut.of(server, language).model_dump(mode="json")

        status, answer = await once(uow, who.tenant_id, "POST /api/esxi-servers/", key, await request.body(), act)
    return JSONResponse(answer, status)


@router.get("/", response_model=Page[EsxiServerOut])
async def servers(who: Reader, tools: ToolsDep, language: LanguageDep, paging: PagingDep) -> Page[EsxiServerOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.servers.page(paging.after, paging.rows)
    return paging.page(rows, lambda row: EsxiServerOut.of(row, language), lambda row: (row.id,))


@router.get("/{server_id}/")
async def server(server_id: UUID, who: Reader, tools: ToolsDep, language: LanguageDep) -> EsxiServerOut:
    async with opened(tools, who) as (uow, _tenant):
        return EsxiServerOut.of(await uow.servers.get(server_id), language)


@router.patch("/{server_id}/")
async def change(
    server_id: UUID, wanted: EsxiServerChange, who: Writer, tools: ToolsDep, language: LanguageDep
) -> EsxiServerOut:
    async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
        changed = await change_server(
            uow,
            tools.box,
            server_id,
            actor=who.user_id,
            username=wanted.username,
            password=None if wanted.password is None else wanted.password.get_secret_value(),
            thumbprint=wanted.thumbprint,
            is_active=wanted.is_active,
        )
    return EsxiServerOut.of(changed, language)


@router.delete("/{server_id}/", status_code=204)
async def remove(server_id: UUID, who: Writer, tools: ToolsDep) -> Response:
    async with opened(tools, who, Act.CHANGE) as (uow, tenant):
        await remove_server(uow, tenant, server_id, actor=who.user_id)
    return Response(status_code=204)


@router.post("/{server_id}/test_connection/")
async def test_connection(server_id: UUID, who: Writer, tools: ToolsDep, language: LanguageDep) -> ConnectionOut:
    answered = await _asked(tools, who, server_id, inventory=False)
    async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
        row = await record_answer(uow, server_id, answered)
    return ConnectionOut(
        success=True,
        thumbprint=answered.thumbprint,
        product=answered.product,
        server=EsxiServerOut.of(row, language),
    )


@router.post("/{server_id}/sync_vms/")
async def sync_vms(server_id: UUID, who: Writer, tools: ToolsDep) -> SyncOut:
    answered = await _asked(tools, who, server_id, inventory=True)
    assert answered.inventory is not None
    async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
        await record_answer(uow, server_id, answered)
        counts = await record_inventory(uow, server_id, answered.inventory)
        row = await uow.servers.get(server_id)
    assert row.synced_at is not None
    return SyncOut(synced_at=row.synced_at, **counts)


@router.get("/{server_id}/get_datastores/")
async def get_datastores(server_id: UUID, who: Reader, tools: ToolsDep) -> Page[DatastoreOut]:
    async with opened(tools, who) as (uow, _tenant):
        await uow.servers.get(server_id)
        rows = await uow.placements.datastores(server_id, None, EVERYTHING)
    return Page(results=[DatastoreOut.of(row) for row in rows])


@router.get("/{server_id}/get_networks/")
async def get_networks(server_id: UUID, who: Reader, tools: ToolsDep) -> Page[NetworkOut]:
    async with opened(tools, who) as (uow, _tenant):
        await uow.servers.get(server_id)
        rows = await uow.placements.networks(server_id)
    return Page(results=[NetworkOut.of(row) for row in rows])


async def _asked(tools: Tools, who: Writer, server_id: UUID, *, inventory: bool) -> Answered:
    """Read the target, call the host outside of any transaction, and note a failure before it is answered."""
    async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
        target = await target_of(uow, tools.box, server_id)
    try:
        return await ask(tools.connector, target, inventory=inventory)
    except HypervisorError as error:
        async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
            await record_failure(uow, server_id, error)
        raise
