"""`/api/auth/sessions/` and logging out: the caller's own sign-ins."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from common.web import Page, PagingDep
from fastapi import APIRouter, Response

from tenancy.api.dependencies import ToolsDep, position_in_time
from tenancy.api.schemas.sessions import OwnSessionOut
from tenancy.usecases.revoke_sessions import log_out, revoke_session

router = APIRouter(tags=["auth"])


@router.get("/api/auth/sessions/")
async def sessions(
    tools: ToolsDep, who: Annotated[Principal, requires_person()], paging: PagingDep
) -> Page[OwnSessionOut]:
    """The caller's sign-ins that have not ended, the most recently used first."""
    async with tools.store.for_user(who.user_id) as uow:
        found = await uow.sessions.alive_of(
            who.user_id, uow.clock.now(), before=position_in_time(paging), limit=paging.rows
        )
    return paging.page(
        found, lambda one: OwnSessionOut.of(one, who.session_id), lambda one: (one.last_used_at.isoformat(), one.id)
    )


@router.delete("/api/auth/sessions/{session_id}/", status_code=204)
async def revoke(session_id: UUID, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """End one of the caller's sign-ins."""
    async with tools.store.for_system("auth") as uow:
        await revoke_session(uow, who.user_id, session_id)
    return Response(status_code=204)


@router.post("/api/auth/logout/", status_code=204)
async def logout(tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """End the session of the request's token."""
    return await _log_out(tools, who, everywhere=False)


@router.post("/api/auth/logout-everywhere/", status_code=204)
async def logout_everywhere(tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> Response:
    """End every session of the caller, this one too."""
    return await _log_out(tools, who, everywhere=True)


async def _log_out(tools: ToolsDep, who: Principal, *, everywhere: bool) -> Response:
    if who.session_id is not None:
        async with tools.store.for_system("auth") as uow:
            await log_out(uow, who.user_id, who.session_id, everywhere=everywhere)
    return Response(status_code=204)
