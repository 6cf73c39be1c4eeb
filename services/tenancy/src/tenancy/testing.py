"""Builders for tests: people, organizations, events, and the service without its servers.

Nothing here is imported by what runs in production.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.auth.internal_token import new_key
from common.ids import uuid7
from common.messaging import Envelope
from common.messaging.inbox import DUE_AT_ONCE, InboxWorker
from common.persistence import Store
from common.persistence.mechanisms import inbox, mails, outbox
from common.testing import FrozenClock, ServiceClient, ServiceDatabase, service_client, test_keys, test_verifier
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from sqlalchemy import Table, func, select, update

from tenancy.adapters.passwords import Argon2Passwords
from tenancy.api.app import make_app
from tenancy.bootstrap import tools_of
from tenancy.domain.people import Credentials, Language, User
from tenancy.domain.roles import StaffRole
from tenancy.messaging.handlers import subscriptions
from tenancy.persistence.tables import entitlements, organizations, users
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.settings import NAME, Settings
from tenancy.usecases.create_staff import create_staff
from tenancy.workflows.tools import Tools

PASSWORD = "Une phrase de passe longue"  # noqa: S105
FEATURES = {"has_replication": True, "has_api_access": False}
QUOTAS = {
    "max_esxi_servers": 5,
    "max_vms": 50,
    "max_backups_per_month": 500,
    "max_storage_gb": 500,
    "max_users": 3,
}


@dataclass
class Tenancy:
    """The service without its servers: tools, inbox, clock."""

    tools: Tools
    clock: FrozenClock
    database: ServiceDatabase
    inbox: InboxWorker

    @property
    def store(self) -> Store[UnitOfWork]:
        return self.tools.store

    def client(self, **principal: Any) -> ServiceClient:
        """A client for one principal; see `common.testing.service_client`."""
        return service_client(make_app(self.tools, test_verifier(NAME)), NAME, **principal)

    async def person(
        self, email: str | None = None, *, name: str = "Awa Ndiaye", verified: bool = True, **more: Any
    ) -> User:
        """An account with the password `PASSWORD`."""
        user_id = uuid7()
        user = User(
            user_id,
            email or f"{user_id.hex}@exemple.cm",
            name,
            more.get("language", Language.FR),
            self.clock.now(),
            email_verified_at=self.clock.now() if verified else None,
        )
        async with self.store.for_system("auth") as uow:
            await uow.users.add(user)
            await uow.users.add_credentials(Credentials(user.id, await self.tools.passwords.hash(PASSWORD)))
        return user

    async def staff(self, totp_secret: str) -> User:
        """A platform admin with a second factor."""
        async with self.store.for_system("auth") as uow:
            return await create_staff(
                uow,
                self.tools.sealer,
                email=f"{uuid7().hex}@plateforme.cm",
                roles=[StaffRole.ADMIN],
                password_hash=await self.tools.passwords.hash(PASSWORD),
                totp_secret=totp_secret,
            )

    async def set_quota(self, tenant_id: UUID, quota: str, limit: int) -> None:
        async with self.store.for_tenant(tenant_id) as uow:
            await uow.session.execute(update(entitlements).values(quotas=QUOTAS | {quota: limit}))

    async def set_features(self, tenant_id: UUID, **features: bool) -> None:
        async with self.store.for_tenant(tenant_id) as uow:
            await uow.session.execute(update(entitlements).values(features=FEATURES | features))

    async def set_status(self, tenant_id: UUID, status: str) -> None:
        async with self.store.for_tenant(tenant_id) as uow:
            await uow.session.execute(update(organizations).values(status=status))

    async def receive(self, *envelopes: Envelope) -> None:
        """Store deliveries and handle what is due, behind what other tests left."""
        for envelope in envelopes:
            await self.inbox.receive(envelope)
        while await self.inbox.handle_due() == DUE_AT_ONCE:
            continue

    async def organization(self, owner: User, **data: Any) -> UUID:
        """An organization that `owner` bought."""
        event = payment_confirmed(owner, **data)
        await self.receive(event)
        assert event.tenantid is not None
        return event.tenantid

    async def owned(self, **data: Any) -> tuple[User, UUID]:
        """A person and the organization that he bought."""
        owner = await self.person()
        return owner, await self.organization(owner, **data)

    async def rows(self, tenant_id: UUID, table: Table) -> list[Any]:
        async with self.store.for_tenant(tenant_id) as uow:
            return list((await uow.session.execute(select(table))).mappings())

    async def facts(self, tenant_id: UUID) -> list[dict[str, Any]]:
        """Envelopes in the outbox of one tenant, in order."""
        async with self.store.for_system("relay") as uow:
            rows = await uow.session.execute(
                select(outbox.c.envelope).where(outbox.c.tenant_id == tenant_id).order_by(outbox.c.position)
            )
            return list(rows.scalars())

    async def inbox_row(self, event_id: UUID) -> Any:
        async with self.store.for_system("inbox") as uow:
            return (await uow.session.execute(select(inbox).where(inbox.c.event_id == event_id))).one()

    async def mails_to(self, address: str) -> list[Any]:
        async with self.store.for_system("mailer") as uow:
            rows = await uow.session.execute(
                select(mails).where(mails.c.recipient == address).order_by(mails.c.created_at, mails.c.id)
            )
            return list(rows.all())

    async def count_people(self, email: str) -> int:
        async with self.store.for_system("auth") as uow:
            found = select(func.count()).select_from(users).where(users.c.email == email)
            return int(await uow.session.scalar(found) or 0)


@asynccontextmanager
async def tenancy_of(database: ServiceDatabase) -> AsyncIterator[Tenancy]:
    """The service on a migrated database."""
    settings = Settings(
        environment="test",
        **database.settings.model_dump(exclude_unset=True),
        gateway_public_keys=[test_keys()[1]],
        token_private_keys=SecretStr(json.dumps([new_key("signing")])),
        secret_key=SecretStr("a secret of the tests, 32 characters"),
        email_host="127.0.0.1",
        app_base_url="https://app.exemple.cm",
        even_answer=timedelta(milliseconds=60),
    )
    clock = FrozenClock()
    opened = database.open()
    tools = tools_of(settings, opened, clock)
    # A light hasher: these tests are about who gets in, not about how long argon2 takes.
    passwords = Argon2Passwords(2, Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1))
    tools.passwords.close()
    tools = replace(tools, passwords=passwords)
    yield Tenancy(tools, clock, database, InboxWorker(tools.store, subscriptions(tools.letters)))
    passwords.close()
    await opened.close()


def payment_confirmed(
    buyer: User, *, tenant_id: UUID | None = None, event_id: UUID | None = None, **data: Any
) -> Envelope:
    """Billing's fact that an order was paid."""
    start = data.pop("starts_at", "2026-11-22T12:00:00Z")
    end = data.pop("ends_at", "2026-12-22T12:00:00Z")
    payload = {
        "order_id": str(data.pop("order_id", uuid7())),
        "order_number": "CMD-1",
        "kind": "new",
        "user_id": str(buyer.id),
        "customer_name": "Société Exemple",
        "customer_email": "it@exemple.cm",
        "billing_cycle": "monthly",
        "plan": {
            "id": 2,
            "name": "silver",
            "quotas": QUOTAS,
            "features": FEATURES,
            "retention": {"snapshot_retention_days": 14, "backup_retention_days": 60},
        },
        "period": {"starts_at": start, "ends_at": end, "anchor_day": 22},
    } | data
    return envelope("billing", "payment.confirmed.v1", tenant_id or uuid7(), payload, event_id=event_id)


def envelope(
    source: str,
    kind: str,
    tenant_id: UUID | None,
    data: dict[str, Any],
    *,
    event_id: UUID | None = None,
    version: int = 1,
) -> Envelope:
    return Envelope(
        id=event_id or uuid7(),
        source=source,
        type=kind,
        time=FrozenClock().now(),
        subject=str(tenant_id),
        tenantid=tenant_id,
        dataschema=f"events/{kind}.json",
        aggregateversion=version,
        data=data,
    )
