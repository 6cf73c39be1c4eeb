"""What the gateway asks; `/internal/` is never routed from outside."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from fastapi import APIRouter

from tenancy.api.dependencies import KitDep
from tenancy.api.schemas.auth import SessionOut
from tenancy.usecases.session_state import session_state

router = APIRouter(tags=["internal"], include_in_schema=False)


@router.get("/internal/sessions/{session_id}")
async def session(session_id: UUID, kit: KitDep, who: Annotated[Principal, requires_person()]) -> SessionOut:
    """The session of the person whom the gateway's token names."""
    async with kit.store.for_system("auth") as uow:
        state = await session_state(uow, session_id, who.user_id)
    return SessionOut(
        tenant_id=state.tenant_id,
        roles=list(state.roles),
        staff_roles=list(state.staff_roles),
        revoked=state.revoked,
    )
