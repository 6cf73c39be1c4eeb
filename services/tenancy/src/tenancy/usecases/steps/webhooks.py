"""The endpoint, or the delivery, that somebody asks about."""

from uuid import UUID

from tenancy.domain.webhooks import Delivery, Endpoint
from tenancy.errors import WebhookDeliveryNotFound, WebhookEndpointNotFound
from tenancy.persistence.unit_of_work import UnitOfWork


async def find_endpoint(uow: UnitOfWork, endpoint_id: UUID, *, lock: bool = False) -> Endpoint:
    """One of the organization's endpoints.

    Raises:
        WebhookEndpointNotFound: there is none.
    """
    found = await uow.webhook_endpoints.get(uow.tenant_id, endpoint_id, lock=lock)
    if found is None:
        raise WebhookEndpointNotFound
    return found


async def find_delivery(uow: UnitOfWork, endpoint_id: UUID, delivery_id: UUID, *, lock: bool = False) -> Delivery:
    """A delivery to this endpoint.

    Raises:
        WebhookDeliveryNotFound: there is none.
    """
    found = await uow.webhook_deliveries.get(uow.tenant_id, delivery_id, lock=lock)
    if found is None or found.endpoint_id != endpoint_id:
        raise WebhookDeliveryNotFound
    return found
