"""`/api/tenants/webhook-endpoints/`: where the active organization wants to hear of what happens to it."""

from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from common.auth import Principal, requires
from common.idempotency import once
from common.messaging.fact import schema_uri
from common.web import IdempotencyKey, Page, PagingDep
from fastapi import APIRouter, Query, Request, Response

from tenancy.api.dependencies import ToolsDep
from tenancy.api.schemas.webhooks import (
    EventTypeOut,
    ReplayedOut,
    ReplayIn,
    RotationIn,
    WebhookAttemptOut,
    WebhookDeliveryDetailOut,
    WebhookDeliveryOut,
    WebhookEndpointChangeIn,
    WebhookEndpointIn,
    WebhookEndpointOut,
    WebhookSecretOut,
)
from tenancy.domain.webhooks import EVENTS, Endpoint, State
from tenancy.usecases import read_webhooks, replay_webhooks, webhook_endpoints
from tenancy.workflows.tools import Tools

router = APIRouter(prefix="/api/tenants", tags=["webhooks"])
ENDPOINTS = "/webhook-endpoints"
ENDPOINT = ENDPOINTS + "/{endpoint_id}"
DELIVERY = ENDPOINT + "/deliveries/{delivery_id}"
Keeper = Annotated[Principal, requires("owner", "admin")]


@router.get("/webhook-event-types/")
async def event_types(who: Keeper) -> Page[EventTypeOut]:  # noqa: ARG001
    """Every type of fact that an endpoint can hear of; there is one page of them."""
    told = [
        EventTypeOut(type=event_type, source=source, data_schema=schema_uri(event_type))
        for source, types in EVENTS.items()
        for event_type in types
    ]
    return Page[EventTypeOut](results=told)


@router.get(ENDPOINTS + "/")
async def endpoints(tools: ToolsDep, who: Keeper, paging: PagingDep) -> Page[WebhookEndpointOut]:
    """All endpoints, newest first."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.webhook_endpoints.page(who.tenant_id, after=paging.after, limit=paging.rows)
    return paging.page(found, WebhookEndpointOut.model_validate, lambda endpoint: (endpoint.id,))


@router.post(ENDPOINTS + "/", status_code=201)
async def create(
    wanted: WebhookEndpointIn, request: Request, tools: ToolsDep, who: Keeper, key: IdempotencyKey = None
) -> WebhookSecretOut:
    """Make an endpoint. Its secret is in this answer and nowhere else; what is remembered, for its maker, is sealed."""

    async def made() -> tuple[Endpoint, str]:
        return await webhook_endpoints.create_endpoint(
            uow,
            tools.sealer,
            tools.webhook_urls,
            who.user_id,
            url=wanted.url,
            event_types=wanted.event_types,
            description=wanted.description,
        )

    body = await request.body()
    async with tools.store.for_tenant(who.tenant_id) as uow:
        route = f"POST webhook-endpoints by {who.user_id}"
        _, answer = await once(uow, who.tenant_id, route, key, body, _sealed(tools, 201, made))
    return _opened(tools, answer)


@router.get(ENDPOINT + "/")
async def detail(endpoint_id: UUID, tools: ToolsDep, who: Keeper) -> WebhookEndpointOut:
    """One endpoint."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return WebhookEndpointOut.model_validate(await read_webhooks.read_endpoint(uow, endpoint_id))


@router.patch(ENDPOINT + "/")
async def change(
    endpoint_id: UUID, wanted: WebhookEndpointChangeIn, tools: ToolsDep, who: Keeper
) -> WebhookEndpointOut:
    """Change an endpoint, or switch it off or on."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        changed = await webhook_endpoints.change_endpoint(
            uow,
            tools.webhook_urls,
            who.user_id,
            endpoint_id,
            url=wanted.url,
            event_types=wanted.event_types,
            description=wanted.description,
            enabled=wanted.enabled,
        )
    return WebhookEndpointOut.model_validate(changed)


@router.delete(ENDPOINT + "/", status_code=204)
async def delete(endpoint_id: UUID, tools: ToolsDep, who: Keeper) -> Response:
    """Delete an endpoint with its deliveries."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await webhook_endpoints.delete_endpoint(uow, who.user_id, endpoint_id)
    return Response(status_code=204)


@router.post(ENDPOINT + "/rotate_secret/")
async def rotate_secret(
    endpoint_id: UUID, wanted: RotationIn, request: Request, tools: ToolsDep, who: Keeper, key: IdempotencyKey = None
) -> WebhookSecretOut:
    """Put a new secret in force; the former one signs beside it for a while. It is in this answer and nowhere else."""

    async def made() -> tuple[Endpoint, str]:
        overlap = timedelta(hours=wanted.overlap_hours)
        return await webhook_endpoints.rotate_secret(uow, tools.sealer, who.user_id, endpoint_id, overlap)

    body, route = await request.body(), f"POST webhook-endpoints/{endpoint_id}/rotate_secret by {who.user_id}"
    async with tools.store.for_tenant(who.tenant_id) as uow:
        _, answer = await once(uow, who.tenant_id, route, key, body, _sealed(tools, 200, made))
    return _opened(tools, answer)


@router.post(ENDPOINT + "/test/", status_code=202)
async def send_test(endpoint_id: UUID, tools: ToolsDep, who: Keeper) -> WebhookDeliveryOut:
    """Send a message that says nothing (`webhook.test.v1`); its delivery tells what came of it."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return WebhookDeliveryOut.model_validate(await replay_webhooks.send_test(uow, who.user_id, endpoint_id))


@router.get(ENDPOINT + "/deliveries/")
async def deliveries(
    endpoint_id: UUID,
    tools: ToolsDep,
    who: Keeper,
    paging: PagingDep,
    state: State | None = None,
    event_type: Annotated[str | None, Query(max_length=100)] = None,
) -> Page[WebhookDeliveryOut]:
    """What was or is to be sent to an endpoint, newest first."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        endpoint = await read_webhooks.read_endpoint(uow, endpoint_id)
        found = await uow.webhook_deliveries.page(
            who.tenant_id, endpoint.id, state=state, event_type=event_type, after=paging.after, limit=paging.rows
        )
    return paging.page(found, WebhookDeliveryOut.model_validate, lambda delivery: (delivery.id,))


@router.post(ENDPOINT + "/replay_failed/", status_code=202)
async def replay_failed(endpoint_id: UUID, wanted: ReplayIn, tools: ToolsDep, who: Keeper) -> ReplayedOut:
    """Send again what has failed of what was written since then."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return ReplayedOut(replayed=await replay_webhooks.replay_failed(uow, who.user_id, endpoint_id, wanted.since))


@router.get(DELIVERY + "/")
async def delivery_detail(
    endpoint_id: UUID, delivery_id: UUID, tools: ToolsDep, who: Keeper
) -> WebhookDeliveryDetailOut:
    """One delivery with its body and every try."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found, body, attempts = await read_webhooks.read_delivery(uow, endpoint_id, delivery_id)
    shown = WebhookDeliveryOut.model_validate(found).model_dump()
    tries = [WebhookAttemptOut.model_validate(attempt) for attempt in attempts]
    return WebhookDeliveryDetailOut(**shown, body=body.decode(), tries=tries)


@router.post(DELIVERY + "/replay/", status_code=202)
async def replay(endpoint_id: UUID, delivery_id: UUID, tools: ToolsDep, who: Keeper) -> WebhookDeliveryOut:
    """Send one message again, the same under the same id, at once."""
    async with tools.store.for_tenant(who.tenant_id) as uow:
        begun = await replay_webhooks.replay_delivery(uow, who.user_id, endpoint_id, delivery_id)
    return WebhookDeliveryOut.model_validate(begun)


def _sealed(
    tools: Tools, status: int, make: Callable[[], Awaitable[tuple[Endpoint, str]]]
) -> Callable[[], Awaitable[tuple[int, Any]]]:
    """An act whose remembered answer has the secret as it is kept."""

    async def act() -> tuple[int, Any]:
        endpoint, secret = await make()
        sealed = b64encode(tools.sealer.seal(secret, endpoint.id)).decode()
        return status, WebhookEndpointOut.model_validate(endpoint).model_dump(mode="json") | {"secret": sealed}

    return act


def _opened(tools: Tools, answer: Any) -> WebhookSecretOut:
    secret = tools.sealer.open(b64decode(answer["secret"]), UUID(answer["id"]))
    return WebhookSecretOut.model_validate(answer | {"secret": secret})
