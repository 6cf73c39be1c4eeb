"""`…/audit-log/`: what was done in an organization, for its owners and admins, as pages and as a file."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires
from common.web import Page, PagingDep
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from tenancy.api.audit_entries import Position, Wanted, as_file, as_page
from tenancy.api.dependencies import ToolsDep, only_active, position_in_time
from tenancy.api.schemas.audit import AuditEntryOut
from tenancy.domain.audit import AuditEntry

router = APIRouter(prefix="/api/tenants/organizations/{organization_id}/audit-log", tags=["audit log"])
Reader = Annotated[Principal, requires("owner", "admin")]


@router.get("/")
async def entries(
    organization_id: UUID, tools: ToolsDep, who: Reader, wanted: Wanted, paging: PagingDep
) -> Page[AuditEntryOut]:
    """What was done in every service, newest first, what the platform's staff looked at included."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.audit_trail.page(who.tenant_id, wanted, before=position_in_time(paging), limit=paging.rows)
    return as_page(found, paging)


@router.get("/export/", response_class=StreamingResponse)
async def export(organization_id: UUID, tools: ToolsDep, who: Reader, wanted: Wanted) -> StreamingResponse:
    """The same as a file: one JSON object a line. That it was taken is itself an entry."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await uow.audit("audit_log.exported", str(who.tenant_id), actor=who.user_id)

    async def read(before: Position, limit: int) -> list[AuditEntry]:
        async with tools.store.for_tenant(who.tenant_id) as uow:
            return await uow.audit_trail.page(who.tenant_id, wanted, before=before, limit=limit)

    return await as_file("audit-log", read)
