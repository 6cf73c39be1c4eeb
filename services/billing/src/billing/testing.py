"""What billing's tests build on: a clock that can be moved, a whole billing over a test database, clients of it."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from common.ids import uuid7
from common.messaging import Envelope
from common.messaging.inbox import InboxWorker
from common.persistence import Store
from common.testing import (
    FrozenClock,
    ServiceClient,
    ServiceDatabase,
    eventually,
    service_client,
    test_keys,
    test_verifier,
)
from fastapi import FastAPI
from pydantic import SecretStr

from billing.api.app import make_app
from billing.bootstrap import tools_of
from billing.messaging.handlers import subscriptions
from billing.persistence.unit_of_work import UnitOfWork
from billing.settings import NAME, Settings
from billing.usecases.seed_catalogue import seed_catalogue
from billing.workflows.calendar import Calendar
from billing.workflows.watching import Watch

ORDERS = "/api/tenants/orders/"
PAYMENTS = "/api/tenants/payments/"


class MovableClock:
    """The machine's clock, moved forward by as much as a test says: providers' answers still take real time."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def advance(self, by: timedelta) -> None:
        """Move the time forward."""
        self._ahead += by


AnyClock = MovableClock | FrozenClock


def settings_for(database: ServiceDatabase, folder: Path, **values: Any) -> Settings:
    """Return settings as a deployment's environment would give them; providers are filled in by the caller."""
    given: dict[str, Any] = {
        "environment": "test",
        "gateway_public_keys": [test_keys()[1]],
        "email_host": "127.0.0.1",
        "receipts_folder": folder,
        "paypal_client_id": "paypal-client",
        "paypal_client_secret": SecretStr("paypal-secret"),
        "paypal_webhook_id": "SIMWEBHOOK0001",
        "mtn_momo_subscription_key": SecretStr("momo-collection-key"),
        "mtn_momo_user_id": "8a3f3c52-6d1c-4c67-9f0a-2f6b1f2f9d11",
        "mtn_momo_api_key": SecretStr("momo-api-key"),
        "bank_name": "Banque d'essai",
        "bank_account_name": "ESXi Backup Manager SAS",
        "bank_account_number": "10001 00001 00000000001",
        "bank_swift_code": "TESTCMCX",
        "bank_iban": "CM21 1000 1000 0100 0000 0000 111",
        "bank_branch": "Agence Principale",
        "provider_calls_per_second": 500,
    }
    return Settings(**database.settings.model_dump(exclude_unset=True), **(given | values))


class Billing:
    """A whole billing in one process: its application, its worker's steps, and a look into its database."""

    def __init__(
        self, database: ServiceDatabase, settings: Settings, http: httpx.AsyncClient, clock: AnyClock | None = None
    ) -> None:
        self.clock: AnyClock = clock or MovableClock()
        self.database = database
        self.settings = settings
        self.doors = database.open()
        self.store: Store[UnitOfWork] = Store(self.doors, UnitOfWork, self.clock)
        self.tools = tools_of(settings, self.store, http, self.clock)
        self.checkout = self.tools.checkout
        self.watch = Watch(self.store, self.checkout, self.tools.taking_back, self.tools.read_webhook)
        self.calendar = Calendar(self.store, self.checkout, settings.terms, settings.patience)
        self.app: FastAPI = make_app(self.tools, test_verifier(NAME))
        self.inbox = InboxWorker(self.store, subscriptions)
        self._clients: list[ServiceClient] = []

    async def close(self) -> None:
        """Close clients and pools."""
        for client in self._clients:
            await client.aclose()
        await self.doors.close()

    async def seed(self) -> None:
        """Put the catalogue in place."""
        async with self.store.for_system("seed") as uow:
            await seed_catalogue(uow)

    def client(self, **who: Any) -> ServiceClient:
        """Return a client that the gateway would vouch for; see `common.testing.service_client`."""
        client = service_client(self.app, NAME, **who)
        if who.get("staff"):
            client.headers["x-reason"] = "a test"  # without one, nobody reads what is others'
        self._clients.append(client)
        return client

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """Run a query as the server's superuser, past row-level security: a test's eye, not the product's."""
        async with self.superuser() as connection:
            return [dict(row) for row in await connection.fetch(statement, *values.values())]

    @contextlib.asynccontextmanager
    async def superuser(self) -> AsyncIterator[Any]:
        """Yield a superuser's connection to the test database."""
        connection = await asyncpg.connect(self.database.admin_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def told(
        self, tenant_id: UUID, fact: str, data: dict[str, Any], *, version: int = 1, source: str = "tenancy"
    ) -> None:
        """Deliver a fact of another service and handle it, as the worker would."""
        await self.inbox.receive(
            Envelope(
                id=uuid7(),
                source=source,
                type=f"{fact}.v1",
                time=self.clock.now(),
                subject=str(tenant_id),
                tenantid=tenant_id,
                dataschema=f"events/{fact}.v1.json",
                aggregateversion=version,
                data=data,
            )
        )
        await self.inbox.handle_due()

    async def provision(self, order: dict[str, Any]) -> UUID:
        """Answer an order's ``payment.confirmed`` as tenancy does; return the organization's id."""
        rows = await self.rows("select tenant_id, user_id from orders where id = $1", id=UUID(order["id"]))
        tenant_id, owner = rows[0]["tenant_id"], rows[0]["user_id"]
        await self.told(tenant_id, "org.provisioned", organization(tenant_id, owner, order["customer_name"]))
        return UUID(str(tenant_id))


def organization(tenant_id: UUID, owner: UUID, name: str) -> dict[str, Any]:
    """Return an organization object as tenancy publishes it."""
    return {
        "id": str(tenant_id),
        "name": name,
        "slug": name.lower().replace(" ", "-"),
        "status": "active",
        "plan": "silver",
        "owner": str(owner),
        "email": "contact@xyz.com",
        "billing_cycle": "monthly",
        "subscription_start": "2026-11-22T12:00:00Z",
        "subscription_end": "2026-12-22T12:00:00Z",
    }


def order_body(**changes: Any) -> dict[str, Any]:
    """Return the guide's order; with ``changes``."""
    return {
        "plan_id": 2,
        "billing_cycle": "monthly",
        "customer_name": "Entreprise XYZ",
        "customer_email": "contact@xyz.com",
        "customer_phone": "237670000000",
    } | changes


async def place(client: ServiceClient, **changes: Any) -> dict[str, Any]:
    """Place an order and return it."""
    answer = await client.post(ORDERS, json=order_body(**changes))
    assert answer.status_code == 201, answer.text
    placed: dict[str, Any] = answer.json()
    return placed


async def initiate(client: ServiceClient, order: dict[str, Any], method_id: int, **fields: Any) -> dict[str, Any]:
    """Initiate a payment as the guide's page does, and return the answer."""
    body = {"order_id": order["id"], "payment_method_id": method_id} | fields
    answer = await client.post(f"{ORDERS}{order['id']}/initiate_payment/", json=body)
    assert answer.status_code == 200, answer.text
    started: dict[str, Any] = answer.json()
    return started


async def by_momo(client: ServiceClient, order: dict[str, Any], number: str = "237670000001") -> dict[str, Any]:
    """Initiate a payment by Mobile Money."""
    return await initiate(client, order, 2, phone_number=number)


async def by_paypal(client: ServiceClient, order: dict[str, Any]) -> dict[str, Any]:
    """Initiate a payment by PayPal, with the guide's addresses."""
    return await initiate(
        client,
        order,
        1,
        return_url="https://myapp.com/payment/success",
        cancel_url="https://myapp.com/payment/cancel",
    )


async def verify(client: ServiceClient, order: dict[str, Any]) -> dict[str, Any]:
    """Ask whether an order is paid, as the guide's page does every 5 s."""
    answer = await client.post(f"{ORDERS}{order['id']}/verify_payment/")
    assert answer.status_code == 200, answer.text
    verified: dict[str, Any] = answer.json()
    return verified


async def until_paid(client: ServiceClient, order: dict[str, Any]) -> dict[str, Any]:
    """Verify until the order is paid, and return the answer."""

    async def paid() -> dict[str, Any] | None:
        answer = await verify(client, order)
        return answer if answer["payment_status"] == "paid" else None

    found: dict[str, Any] = await eventually(paid, what="the order to be paid")
    return found


async def pay_by_transfer(billing: Billing, client: ServiceClient, order: dict[str, Any]) -> None:
    """Pay an order by a transfer that finance approves: no provider, and no time but the clock's."""
    rows = await billing.rows(
        "select id from payments where order_id = $1 and status = 'submitted'", id=UUID(order["id"])
    )
    payment_id = rows[0]["id"] if rows else (await initiate(client, order, 3))["payment_id"]
    staff = billing.client(staff=["finance"])
    answer = await staff.post(f"{PAYMENTS}{payment_id}/verify_bank_transfer/", json={"approve": True})
    assert answer.status_code == 200, answer.text


async def subscribed(billing: Billing, **changes: Any) -> tuple[ServiceClient, UUID]:
    """Return the owner's client and the id of an organization that was bought; ``changes`` are of its order."""
    me = uuid7()
    buyer = billing.client(user_id=me)
    order = await place(buyer, **changes)
    await pay_by_transfer(billing, buyer, order)
    tenant_id = await billing.provision(order)
    return billing.client(user_id=me, tenant_id=tenant_id, roles=["owner"]), tenant_id
