"""`/api/admin/audit-log/`: the platform's own chain, which tells what its staff did that belongs to no organization.

Each read has a reason, and its row in the same transaction and the same chain: without the row there is no answer.
"""

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.audit import verify_platform_chain
from common.auth import Principal, requires_staff
from common.web import Page, PagingDep
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from tenancy.api.dependencies import ToolsDep, position_in_time
from tenancy.api.schemas.audit import AuditEntryOut, VerifiedChainOut
from tenancy.domain.audit import AuditEntry, AuditFilter
from tenancy.workflows.tools import Tools

router = APIRouter(prefix="/api/admin/audit-log", tags=["back office"])
Admin = Annotated[Principal, requires_staff("admin")]
Why = Annotated[str, Header(alias="x-reason", min_length=3, max_length=500)]
Text = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Position = tuple[datetime, UUID] | None

CHAIN = "platform"
EXPORT_PAGE = 500
"""Entries read in one transaction of an export."""


def _wanted(
    actor: Text = None,
    action: Text = None,
    target: Text = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
) -> AuditFilter:
    return AuditFilter(actor=actor, action=action, target=target, since=since, until=until)


Wanted = Annotated[AuditFilter, Depends(_wanted)]


@router.get("/")
async def entries(who: Admin, reason: Why, tools: ToolsDep, wanted: Wanted, paging: PagingDep) -> Page[AuditEntryOut]:
    """What was done, newest first; that it was read is the next entry."""
    found = await _read(tools, who, reason, wanted, position_in_time(paging), paging.rows, "platform_audit.read")
    return paging.page(found, AuditEntryOut.model_validate, lambda entry: (entry.at.isoformat(), entry.id))


@router.get("/export/", response_class=StreamingResponse)
async def export(who: Admin, reason: Why, tools: ToolsDep, wanted: Wanted) -> StreamingResponse:
    """The same as a file: one JSON object a line. Each part that is read leaves an entry."""
    first = await _read(tools, who, reason, wanted, None, EXPORT_PAGE, "platform_audit.exported")
    return StreamingResponse(
        _lines(tools, who, reason, wanted, first),
        media_type="application/x-ndjson",
        headers={"content-disposition": 'attachment; filename="platform-audit-log.ndjson"'},
    )


@router.get("/verification/")
async def verification(who: Admin, reason: Why, tools: ToolsDep) -> VerifiedChainOut:
    """Read the chain again: is it what it was when it was written? The first broken row is named."""
    async with tools.store.for_system("staff") as uow:
        read, fault = await verify_platform_chain(uow, heads_folder=tools.settings.audit_heads_folder)
        details = {"rows": read, "broken": fault is not None}
        await uow.audit("platform_audit.verified", CHAIN, actor=who.user_id, reason=reason, details=details)
    return VerifiedChainOut(
        rows=read,
        is_whole=fault is None,
        broken_at=fault.number if fault else None,
        broken_row=fault.row if fault else None,
        what=fault.what if fault else None,
    )


async def _read(
    tools: Tools, who: Principal, reason: str, wanted: AuditFilter, before: Position, limit: int, action: str
) -> list[AuditEntry]:
    async with tools.store.for_system("staff") as uow:
        found = await uow.audit_trail.platform_page(wanted, before=before, limit=limit)
        scope = {name: getattr(wanted, name) for name in ("actor", "action", "target")}
        times = {name: moment.isoformat() for name in ("since", "until") if (moment := getattr(wanted, name))}
        details = {"scope": scope | times, "rows": len(found)}
        await uow.audit(action, CHAIN, actor=who.user_id, reason=reason, details=details)
    return found


async def _lines(
    tools: Tools, who: Principal, reason: str, wanted: AuditFilter, page: list[AuditEntry]
) -> AsyncIterator[str]:
    # Newest first, so that the rows which the reading itself leaves never come into it.
    while True:
        for entry in page:
            yield json.dumps(AuditEntryOut.model_validate(entry).model_dump(mode="json"), ensure_ascii=False) + "\n"
        if len(page) < EXPORT_PAGE:
            return
        before = (page[-1].at, page[-1].id)
        page = await _read(tools, who, reason, wanted, before, EXPORT_PAGE, "platform_audit.exported")
