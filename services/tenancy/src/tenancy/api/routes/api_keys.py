"""`/api/tenants/api-keys/`: keys with which programs act for the active organization."""

from base64 import b64decode, b64encode
from typing import Annotated, Any
from uuid import UUID

from common.auth import Principal, requires
from common.idempotency import once
from common.web import IdempotencyKey, Page, PagingDep
from fastapi import APIRouter, Request, Response

from tenancy.api.dependencies import ToolsDep
from tenancy.api.schemas.api_keys import ApiKeyIn, ApiKeyOut, NewApiKeyOut
from tenancy.domain.roles import highest
from tenancy.errors import ApiKeyNotFound
from tenancy.usecases.create_api_key import create_api_key
from tenancy.usecases.revoke_api_key import revoke_api_key

router = APIRouter(prefix="/api/tenants/api-keys", tags=["API keys"])
Keeper = Annotated[Principal, requires("owner", "admin")]


@router.get("/")
async def keys(tools: ToolsDep, who: Keeper, paging: PagingDep) -> Page[ApiKeyOut]:
    """All keys, newest first; revoked and expired ones stay on the list."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.api_keys.page(who.tenant_id, after=paging.after, limit=paging.rows)
    return paging.page(found, ApiKeyOut.model_validate, lambda key: (key.id,))


@router.post("/", status_code=201)
async def create(
    wanted: ApiKeyIn, request: Request, tools: ToolsDep, who: Keeper, key: IdempotencyKey = None
) -> NewApiKeyOut:
    """Make a key. Its secret is in this answer and nowhere else; what is remembered, for its maker alone, is sealed."""

    async def act() -> tuple[int, Any]:
        made, secret = await create_api_key(
            uow,
            tools.key_hasher,
            maker_id=who.user_id,
            maker_role=highest(who.roles),
            name=wanted.name,
            role=wanted.role,
            scopes=wanted.scopes,
            allowed_networks=wanted.allowed_networks,
            expires_at=wanted.expires_at,
        )
        sealed = b64encode(tools.sealer.seal(secret, made.id)).decode()
        return 201, ApiKeyOut.model_validate(made).model_dump(mode="json") | {"key": sealed}

    body = await request.body()
    async with tools.store.for_tenant(who.tenant_id) as uow:
        _status, answer = await once(uow, who.tenant_id, f"POST api-keys by {who.user_id}", key, body, act)
    secret = tools.sealer.open(b64decode(answer["key"]), UUID(answer["id"]))
    return NewApiKeyOut.model_validate(answer | {"key": secret})


@router.get("/{key_id}/")
async def detail(key_id: UUID, tools: ToolsDep, who: Keeper) -> ApiKeyOut:
    """One key."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.api_keys.get(who.tenant_id, key_id)
    if found is None:
        raise ApiKeyNotFound
    return ApiKeyOut.model_validate(found)


@router.delete("/{key_id}/", status_code=204)
async def revoke(key_id: UUID, tools: ToolsDep, who: Keeper) -> Response:
    """End a key for good; it stays on the list."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await revoke_api_key(uow, key_id, actor=who.user_id)
    return Response(status_code=204)
