"""Write down what a try to deliver came to, and what follows from it for the delivery and its endpoint."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from tenancy.domain.people import DAY, Language
from tenancy.domain.webhooks import Attempt, Delivery, Endpoint, Heard, Off, State, off_after, pause_after
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.owner_letters import write_to

SWITCHED_OFF = "webhook_off"


async def record_attempt(
    uow: UnitOfWork,
    letters: Letters,
    delivery: Delivery,
    claim_id: UUID,
    heard: Heard,
    *,
    at: datetime,
    duration_ms: int,
    request_head: str,
) -> State | None:
    """Return how the delivery stands now; None where it is no longer this claim's, and nothing was written.

    It may have been given to somebody else since, replayed, given up or deleted: whoever has it now says how it ends.
    """
    # The endpoint first: it is in this order that they are switched off, too.
    endpoint = await uow.webhook_endpoints.get(uow.tenant_id, delivery.endpoint_id, lock=True)
    mine = await uow.webhook_deliveries.claimed(uow.tenant_id, delivery.id, claim_id, lock=True)
    if endpoint is None or mine is None:
        return None
    tried = replace(
        mine,
        attempts=mine.attempts + 1,
        tries=mine.tries + 1,
        last_status=heard.status,
        last_error=heard.error,
    )
    attempt = Attempt(
        number=tried.attempts,
        at=at,
        duration_ms=duration_ms,
        status=heard.status,
        error=heard.error,
        request_head=request_head,
        response_head=heard.head,
        response_body=heard.body,
    )
    await uow.webhook_deliveries.note(tried, attempt)
    if heard.taken:
        await uow.webhook_deliveries.finish(tried, State.DELIVERED, uow.clock.now())
        if endpoint.failing_since is not None:
            await uow.webhook_endpoints.save(replace(endpoint, failing_since=None))
        return State.DELIVERED
    return await _failed(uow, letters, endpoint, tried, heard)


async def _failed(uow: UnitOfWork, letters: Letters, endpoint: Endpoint, tried: Delivery, heard: Heard) -> State:
    now = uow.clock.now()
    since = endpoint.failing_since or now
    pause, off_for = pause_after(tried.tries, heard.retry_after), off_after(heard, since, now)
    if pause is None or off_for is not None:
        await uow.webhook_deliveries.finish(tried, State.FAILED, now)
    else:
        await uow.webhook_deliveries.try_again(tried, pause)
    if off_for is not None and endpoint.enabled:
        await _switch_off(uow, letters, replace(endpoint, enabled=False, off_for=off_for, failing_since=since))
    elif endpoint.failing_since is None:
        await uow.webhook_endpoints.save(replace(endpoint, failing_since=since))
    return State.FAILED if pause is None or off_for is not None else State.PENDING


async def _switch_off(uow: UnitOfWork, letters: Letters, endpoint: Endpoint) -> None:
    """Switch an endpoint off, end what waits for it, and tell the owner."""
    now = uow.clock.now()
    await uow.webhook_endpoints.save(endpoint)
    await uow.webhook_deliveries.give_up(endpoint, now)
    details = {"off_for": endpoint.off_for, "failing_since": f"{endpoint.failing_since:%Y-%m-%dT%H:%M:%SZ}"}
    await uow.audit("webhook_endpoint.switched_off", str(endpoint.id), actor="tenancy", details=details)
    organization = await uow.organizations.get(uow.tenant_id)
    if organization is None:
        return

    def about(language: Language) -> dict[str, Any]:
        since = f"{endpoint.failing_since:{DAY[language]}}"
        return {"host": endpoint.host, "gone": endpoint.off_for is Off.GONE, "since": since}

    key = f"{SWITCHED_OFF}:{endpoint.id}:{now:%Y%m%d%H%M%S}"
    await write_to(uow, letters, SWITCHED_OFF, organization, key=key, about=about)
