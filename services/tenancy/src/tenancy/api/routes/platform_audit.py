"""`/api/admin/audit-log/`: the platform's own chain, which tells what its staff did that belongs to no organization.

Each read has a reason, and its row in the same transaction and the same chain: without the row there is no answer.
"""

from typing import Annotated

from common.audit import verify_platform_chain
from common.auth import Principal, requires_staff
from common.web import Page, PagingDep, ReadReason
from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from tenancy.api.audit_entries import Position, Wanted, as_file, as_page
from tenancy.api.dependencies import ToolsDep, position_in_time
from tenancy.api.schemas.audit import AuditEntryOut, VerifiedChainOut
from tenancy.domain.audit import AuditEntry, AuditFilter
from tenancy.workflows.tools import Tools

router = APIRouter(prefix="/api/admin/audit-log", tags=["back office"])
Admin = Annotated[Principal, requires_staff("admin")]
CHAIN = "platform"


@router.get("/")
async def entries(
    who: Admin, reason: ReadReason, tools: ToolsDep, wanted: Wanted, paging: PagingDep
) -> Page[AuditEntryOut]:
    """What was done, newest first; that it was read is the next entry."""
    found = await _read(tools, who, reason, wanted, position_in_time(paging), paging.rows, "platform_audit.read")
    return as_page(found, paging)


@router.get("/export/", response_class=StreamingResponse)
async def export(who: Admin, reason: ReadReason, tools: ToolsDep, wanted: Wanted) -> StreamingResponse:
    """The same as a file: one JSON object a line. Each part that is read leaves an entry."""

    async def read(before: Position, limit: int) -> list[AuditEntry]:
        return await _read(tools, who, reason, wanted, before, limit, "platform_audit.exported")

    return await as_file("platform-audit-log", read)


@router.get("/verification/")
async def verification(who: Admin, reason: ReadReason, tools: ToolsDep) -> VerifiedChainOut:
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
