"""`…/audit-log/`: what was done in an organization, for its owners and admins, as pages and as a file."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires
from common.web import Page, PagingDep
from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from tenancy.api.dependencies import ToolsDep, only_active, position_in_time
from tenancy.api.schemas.audit import AuditEntryOut
from tenancy.domain.audit import AuditFilter
from tenancy.workflows.tools import Tools

router = APIRouter(prefix="/api/tenants/organizations/{organization_id}/audit-log", tags=["audit log"])

EXPORT_PAGE = 500
"""Entries read in one transaction of an export."""

Text = Annotated[str | None, Query(min_length=1, max_length=200)]


def _wanted(
    actor: Text = None,
    action: Text = None,
    target: Text = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
) -> AuditFilter:
    return AuditFilter(actor=actor, action=action, target=target, since=since, until=until)


Wanted = Annotated[AuditFilter, Depends(_wanted)]
Reader = Annotated[Principal, requires("owner", "admin")]


@router.get("/")
async def entries(
    organization_id: UUID, tools: ToolsDep, who: Reader, wanted: Wanted, paging: PagingDep
) -> Page[AuditEntryOut]:
    """What was done in every service, newest first, what the platform's staff looked at included."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.audit_trail.page(who.tenant_id, wanted, before=position_in_time(paging), limit=paging.rows)
    return paging.page(found, AuditEntryOut.model_validate, lambda entry: (entry.at.isoformat(), entry.id))


@router.get("/export/", response_class=StreamingResponse)
async def export(organization_id: UUID, tools: ToolsDep, who: Reader, wanted: Wanted) -> StreamingResponse:
    """The same as a file: one JSON object a line. That it was taken is itself an entry."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await uow.audit("audit_log.exported", str(who.tenant_id), actor=who.user_id)
    return StreamingResponse(
        _lines(tools, who.tenant_id, wanted),
        media_type="application/x-ndjson",
        headers={"content-disposition": 'attachment; filename="audit-log.ndjson"'},
    )


async def _lines(tools: Tools, tenant_id: UUID, wanted: AuditFilter) -> AsyncIterator[str]:
    before: tuple[datetime, UUID] | None = None
    while True:
        async with tools.store.for_tenant(tenant_id) as uow:
            page = await uow.audit_trail.page(tenant_id, wanted, before=before, limit=EXPORT_PAGE)
        for entry in page:
            yield AuditEntryOut.model_validate(entry).model_dump_json() + "\n"
        if len(page) < EXPORT_PAGE:
            return
        before = (page[-1].at, page[-1].id)
