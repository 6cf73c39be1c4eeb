"""Billing as it runs: built from settings, its parts in one process with the in-process broker, over real HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from billing.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES, build, create_plans
from billing.testing import ORDERS, order_body, organization, settings_for
from common.auth.internal_token import Claims
from common.ids import uuid7
from common.messaging import Envelope, Subscriptions
from common.messaging.in_process import InProcessBroker
from common.parts import run
from common.testing import ServiceDatabase, eventually, internal_auth, service_database

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[ServiceDatabase]:
    """A database of this module's own: its worker would publish what other tests left behind."""
    yield from service_database(postgres_url, "billing", PACKAGE_FOLDER, SYSTEM_ROLES)


class Tenancy:
    """Stands where tenancy listens: answers each confirmation with an organization."""

    def __init__(self, broker: InProcessBroker) -> None:
        self._broker = broker
        self.received: list[Envelope] = []
        taken = Subscriptions("tenancy")
        taken.keep("payment.confirmed", source="billing")
        broker.subscribe(taken, self.receive)

    async def receive(self, envelope: Envelope) -> None:
        self.received.append(envelope)
        tenant_id = envelope.tenantid
        assert tenant_id is not None
        owner = UUID(envelope.data["user_id"])
        await self._broker.publish(
            Envelope(
                id=uuid7(),
                source="tenancy",
                type="org.provisioned.v1",
                time=envelope.time,
                subject=str(tenant_id),
                tenantid=tenant_id,
                dataschema="events/org.provisioned.v1.json",
                aggregateversion=1,
                data=organization(tenant_id, owner, envelope.data["customer_name"]),
            )
        )


@pytest.mark.invariant("S44")
async def test_a_purchase_runs_through_the_built_parts(world: Any, database: ServiceDatabase, tmp_path: Path) -> None:
    settings = settings_for(database, tmp_path, paypal_base_url=world.paypal.url, mtn_momo_base_url=world.momo.url)
    await create_plans(settings)
    broker = InProcessBroker()
    tenancy = Tenancy(broker)
    service = await build(settings, broker)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run(service.parts.values(), stop=stop, on_ready=ready.set))
    try:
        async with asyncio.timeout(20):
            await ready.wait()
        api: Any = service.parts["api"]
        auth = internal_auth("billing", Claims(user_id=uuid7(), tenant_id=None, request_id="request-1"))
        async with httpx.AsyncClient(base_url=api.url, auth=auth) as buyer:
            order = (await buyer.post(ORDERS, json=order_body())).json()
            body = {"payment_method_id": 2, "phone_number": "237670000001"}
            await buyer.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)

            async def provisioned() -> dict[str, Any] | None:
                answer = (await buyer.post(f"{ORDERS}{order['id']}/verify_payment/")).json()
                return answer if answer["success"] else None

            answer = await eventually(provisioned, what="the organization")
        assert answer["status"] == "completed"
        assert answer["organization"]["name"] == "Entreprise XYZ"
        mine = [event for event in tenancy.received if event.data["order_id"] == order["id"]]
        assert len(mine) == 1
        assert all([await check() is None for check in service.checks.values()])
    finally:
        stop.set()
        await running
        await service.close()
