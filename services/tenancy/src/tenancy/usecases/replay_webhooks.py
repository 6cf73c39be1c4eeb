"""Send again what was sent or given up, and send something on request."""

from datetime import datetime
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.webhooks import MOST_TESTS, TEST, TEST_WINDOW, Delivery, Endpoint, written
from tenancy.errors import TooManyWebhookTests, WebhookEndpointOff
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.features import API_ACCESS, demand
from tenancy.usecases.steps.room import writable_organization
from tenancy.usecases.steps.webhooks import find_delivery, find_endpoint


async def replay_delivery(uow: UnitOfWork, actor: UUID, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    """Send one message again, the same bytes under the same id, at once; one that waits is due now.

    Raises:
        WebhookEndpointNotFound, WebhookDeliveryNotFound, WebhookEndpointOff, OrganizationSuspended, FeatureNotInPlan:
            as they say.
    """
    endpoint = await _ready(uow, endpoint_id)
    delivery = await find_delivery(uow, endpoint.id, delivery_id, lock=True)
    await uow.webhook_deliveries.begin_again(delivery)
    await uow.audit("webhook_delivery.replayed", str(delivery.id), actor=actor, details={"endpoint": str(endpoint.id)})
    return await find_delivery(uow, endpoint.id, delivery_id)


async def replay_failed(uow: UnitOfWork, actor: UUID, endpoint_id: UUID, since: datetime) -> int:
    """Send again whatever has failed of what was written since then; return how many messages.

    Raises:
        WebhookEndpointNotFound, WebhookEndpointOff, OrganizationSuspended, FeatureNotInPlan: as they say.
    """
    endpoint = await _ready(uow, endpoint_id)
    begun = await uow.webhook_deliveries.begin_failed_again(endpoint, since)
    details = {"since": since.isoformat(), "messages": begun}
    await uow.audit("webhook_delivery.failed_replayed", str(endpoint.id), actor=actor, details=details)
    return begun


async def send_test(uow: UnitOfWork, actor: UUID, endpoint_id: UUID) -> Delivery:
    """Begin to deliver a message that says nothing, whatever types the endpoint wants.

    Raises:
        WebhookEndpointNotFound, WebhookEndpointOff, OrganizationSuspended, FeatureNotInPlan, TooManyWebhookTests: as
            they say.
    """
    endpoint = await _ready(uow, endpoint_id)
    message_id, now = uuid7(), uow.clock.now()
    sent = await uow.webhook_deliveries.tests(endpoint, now - TEST_WINDOW)
    if len(sent) >= MOST_TESTS:
        raise TooManyWebhookTests(limit=MOST_TESTS, retry_after=sent[0] + TEST_WINDOW - now)
    body = written(
        message_id=message_id,
        event_type=TEST,
        at=now,
        organization_id=uow.tenant_id,
        subject=str(endpoint.id),
        data={"asked_by": str(actor)},
    )
    (delivery_id,) = await uow.webhook_deliveries.add(
        [endpoint], source="tenancy", message_id=message_id, event_type=TEST, body=body, at=now
    )
    return await find_delivery(uow, endpoint.id, delivery_id)


async def _ready(uow: UnitOfWork, endpoint_id: UUID) -> Endpoint:
    demand(await writable_organization(uow), API_ACCESS)
    endpoint = await find_endpoint(uow, endpoint_id, lock=True)
    if not endpoint.enabled:
        raise WebhookEndpointOff(off_for=endpoint.off_for)
    return endpoint
