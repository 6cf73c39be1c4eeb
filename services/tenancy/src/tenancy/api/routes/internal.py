"""What the gateway asks; `/internal/` is never routed from outside."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, public, requires_person
from fastapi import APIRouter, Path

from tenancy.api.dependencies import ToolsDep
from tenancy.api.schemas.api_keys import ResolvedKeyOut
from tenancy.api.schemas.sessions import SessionOut
from tenancy.errors import ApiKeyNotFound
from tenancy.usecases.read_session import read_session
from tenancy.usecases.resolve_api_key import resolve_api_key

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


@router.get("/internal/api-keys/{digest}", dependencies=[public()])
async def api_key(digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], tools: ToolsDep) -> ResolvedKeyOut:
    """The usable key whose SHA-256 this is; the gateway vouches for nobody before it knows."""
    key_hmac = tools.key_hasher.of_digest(bytes.fromhex(digest))
    async with tools.store.for_system("auth") as uow:
        tenant_id = await uow.api_keys.tenant_of(key_hmac)
    if tenant_id is None:
        raise ApiKeyNotFound
    async with tools.store.for_tenant(tenant_id) as uow:
        found = await resolve_api_key(uow, key_hmac)
    return ResolvedKeyOut(
        id=found.key.id,
        tenant_id=tenant_id,
        roles=[found.key.role],
        scopes=list(found.key.scopes),
        allowed_networks=list(found.key.allowed_networks),
        expires_at=found.key.expires_at,
        has_api_access=found.has_api_access,
    )
