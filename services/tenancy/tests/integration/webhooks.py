"""An organization that wants to hear of things, and what sends them: for the tests of webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.clock import SystemClock
from common.messaging import Envelope
from common.persistence import Store
from common.testing import ServiceClient
from sqlalchemy import func, update
from tenancy.bootstrap import sender_of
from tenancy.domain.people import User
from tenancy.persistence import tables
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.testing import Tenancy, envelope
from tenancy.workflows.webhook_sender import WebhookSender

from .receivers import Receiver

PATH = "/api/tenants/webhook-endpoints/"
PATIENCE = timedelta(seconds=1)
DONE = {"job_id": str(UUID(int=1)), "vm_id": str(UUID(int=2))}


@dataclass
class Customer:
    """An organization whose plan has API access, and its owner's client."""

    tenancy: Tenancy
    owner: User
    tenant: UUID
    client: ServiceClient

    async def endpoint(self, receiver: Receiver | str, *event_types: str) -> dict[str, Any]:
        url = receiver if isinstance(receiver, str) else receiver.url
        wanted = {"url": url, "event_types": list(event_types or ("*",))}
        made = await self.client.post(PATH, json=wanted)
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    def fact(self, kind: str = "backup.completed.v1", source: str = "backup-engine") -> Envelope:
        return envelope(source, kind, self.tenant, DONE)

    async def hears(self, *facts: Envelope) -> None:
        await self.tenancy.receive(*(facts or (self.fact(),)))

    async def deliveries(self, endpoint: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
        answer = await self.client.get(f"{PATH}{endpoint['id']}/deliveries/", params={"limit": 200} | wanted)
        found: list[dict[str, Any]] = answer.json()["results"]
        return found

    async def delivery(self, endpoint: dict[str, Any]) -> dict[str, Any]:
        """The only delivery to an endpoint, with its tries."""
        (one,) = await self.deliveries(endpoint)
        found: dict[str, Any] = (await self.client.get(f"{PATH}{endpoint['id']}/deliveries/{one['id']}/")).json()
        return found

    async def now_due(self) -> None:
        """Let the pauses of all that waits be over."""
        await self._set(next_attempt_at=func.clock_timestamp())

    async def claims_over(self) -> None:
        """Let a minute pass for whatever is claimed."""
        await self._set(claimed_until=func.clock_timestamp())

    async def _set(self, **values: Any) -> None:
        async with self.tenancy.store.for_tenant(self.tenant) as uow:
            waiting = update(tables.webhook_deliveries).where(tables.webhook_deliveries.c.state == "pending")
            await uow.session.execute(waiting.values(**values))


async def customer(tenancy: Tenancy) -> Customer:
    """One who may have endpoints on the loopback."""
    settings = tenancy.tools.settings.model_copy(update={"webhook_allow_loopback": True, "webhook_patience": PATIENCE})
    tenancy.tools = replace(tenancy.tools, settings=settings)
    owner, tenant = await tenancy.owned()
    await tenancy.set_features(tenant, has_api_access=True)
    return Customer(tenancy, owner, tenant, tenancy.client(user_id=owner.id, tenant_id=tenant))


def sender(tenancy: Tenancy, **settings: Any) -> WebhookSender:
    """What sends, by the time of day: receivers compare."""
    store = Store(tenancy.store.database, UnitOfWork, SystemClock())
    changed = tenancy.tools.settings.model_copy(update=settings)
    return sender_of(replace(tenancy.tools, store=store, settings=changed))


@asynccontextmanager
async def sender_of_its_own(tenancy: Tenancy) -> AsyncIterator[WebhookSender]:
    """Another process' sender, with connections of its own."""
    opened = tenancy.database.open()
    try:
        store = Store(opened, UnitOfWork, SystemClock())
        yield sender_of(replace(tenancy.tools, store=store))
    finally:
        await opened.close()
