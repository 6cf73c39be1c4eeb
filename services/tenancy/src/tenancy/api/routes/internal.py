"""What the gateway asks; `/internal/` is never routed from outside."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from fastapi import APIRouter

from tenancy.api.dependencies import ToolsDep
from tenancy.api.schemas.sessions import SessionOut
from tenancy.usecases.read_session import read_session

router = APIRouter(tags=["internal"], include_in_schema=False)


@router.get("/internal/sessions/{session_id}")
async def session(session_id: UUID, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> SessionOut:
    """The session of the person whom the gateway's token names."""
    async with tools.store.for_system("auth") as uow:
        state = await read_session(uow, session_id, who.user_id)
    return SessionOut(
        tenant_id=state.tenant_id,
        roles=list(state.roles),
        staff_roles=list(state.staff_roles),
        revoked=state.revoked,
        has_second_factor=state.has_second_factor,
        second_factor_at=state.second_factor_at,
    )
