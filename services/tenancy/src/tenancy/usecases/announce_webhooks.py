"""Write down what customers hear of a fact, in the fact's own transaction."""

from common.messaging import Envelope

from tenancy.domain.webhooks import is_told, written
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.features import API_ACCESS


async def announce(uow: UnitOfWork, fact: Envelope) -> int:
    """Begin a delivery to each endpoint that wants to hear of the fact; return how many. A second time begins none."""
    if not is_told(fact.source, fact.type):
        return 0
    listening = await uow.webhook_endpoints.listening(uow.tenant_id, API_ACCESS)
    wanting = [endpoint for endpoint in listening if endpoint.wants(fact.type)]
    if not wanting:
        return 0
    body = written(
        message_id=fact.id,
        event_type=fact.type,
        at=fact.occurred_at,
        organization_id=uow.tenant_id,
        subject=fact.subject,
        data=fact.data,
    )
    begun = await uow.webhook_deliveries.add(
        wanting, source=fact.source, message_id=fact.id, event_type=fact.type, body=body, at=uow.clock.now()
    )
    return len(begun)
