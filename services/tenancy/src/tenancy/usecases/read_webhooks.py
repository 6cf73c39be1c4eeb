"""What owners and admins see of their endpoints, and of what was sent there."""

from uuid import UUID

from tenancy.domain.webhooks import Attempt, Delivery, Endpoint
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.webhooks import find_delivery, find_endpoint


async def read_endpoint(uow: UnitOfWork, endpoint_id: UUID) -> Endpoint:
    """One endpoint, without its secret.

    Raises:
        WebhookEndpointNotFound: there is none.
    """
    return await find_endpoint(uow, endpoint_id)


async def read_delivery(uow: UnitOfWork, endpoint_id: UUID, delivery_id: UUID) -> tuple[Delivery, bytes, list[Attempt]]:
    """A delivery with what is sent and the last hundred tries, the newest first.

    Raises:
        WebhookEndpointNotFound, WebhookDeliveryNotFound: there is none.
    """
    await find_endpoint(uow, endpoint_id)
    found = await find_delivery(uow, endpoint_id, delivery_id)
    return found, await uow.webhook_deliveries.body(found), await uow.webhook_deliveries.attempts(found)
