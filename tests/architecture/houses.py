"""Each service as one application in this process, with organizations in whatever state a test wants."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx
from backup_engine.testing.engine import Engine, engine_of, provisioned
from billing.testing import Billing, organization, settings_for
from common.ids import uuid7
from common.testing import ServiceClient, ServiceDatabase
from tenancy.domain.membership import Membership
from tenancy.domain.roles import Role
from tenancy.testing import Tenancy, tenancy_of

from tests.architecture.role_matrix import FEATURES, Row

PAST_PAYING = {"suspended", "cancelled", "expired"}


class House(Protocol):
    """One service with organizations in whatever state a test wants."""

    async def organization(self, state: str, role: str, features: frozenset[str]) -> tuple[UUID, UUID]:
        """Bring an organization into a state; return its id and that of a person with the role."""

    def client(self, **who: Any) -> ServiceClient:
        """Ask as somebody; see `common.testing.service_client`."""


class AtTenancy:
    def __init__(self, tenancy: Tenancy) -> None:
        self._tenancy = tenancy

    async def organization(self, state: str, role: str, features: frozenset[str]) -> tuple[UUID, UUID]:
        owner, tenant = await self._tenancy.owned()
        await self._tenancy.set_quota(tenant, "max_users", 1000)
        await self._tenancy.set_features(tenant, **{name: name in features for name in FEATURES})
        person = owner if role == "owner" else await self._tenancy.person()
        async with self._tenancy.store.for_tenant(tenant) as uow:
            if person != owner:
                joined = uow.clock.now()
                member = Membership(tenant, person.id, Role(role), person.email, person.full_name, joined)
                await uow.memberships.add(member)
            if state == "leaving":
                await uow.organizations.set_deletion(tenant, uow.clock.now() + timedelta(days=7))
        await self._tenancy.set_status(tenant, "active" if state == "leaving" else state)
        return tenant, person.id

    def client(self, **who: Any) -> ServiceClient:
        return self._tenancy.client(**who)


class AtBilling:
    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    async def organization(self, state: str, role: str, features: frozenset[str]) -> tuple[UUID, UUID]:
        del role, features
        tenant, person = uuid7(), uuid7()
        known = organization(tenant, person, "Société Exemple")
        if state != "pending":
            await self._billing.told(tenant, "org.provisioned", known)
        if state in PAST_PAYING:
            fact = "org.suspended" if state == "suspended" else "org.expired"
            await self._billing.told(tenant, fact, known | {"status": state}, version=2)
        if state == "deleted":
            await self._billing.told(tenant, "org.deleted", {"id": str(tenant), "reason": "asked_for"}, version=2)
        return tenant, person

    def client(self, **who: Any) -> ServiceClient:
        return self._billing.client(**who)


class AtBackupEngine:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def organization(self, state: str, role: str, features: frozenset[str]) -> tuple[UUID, UUID]:
        del role, features
        tenant = uuid7()
        if state != "pending":
            await self._engine.receive(provisioned(tenant))
        if state in PAST_PAYING:
            fact = provisioned(tenant, version=2, status="suspended" if state == "suspended" else "expired")
            fact.data["status"] = state
            await self._engine.receive(fact)
        if state == "deleted":
            await self._engine.receive(provisioned(tenant, version=2, status=state))
        return tenant, uuid7()

    def client(self, **who: Any) -> ServiceClient:
        return self._engine.client(who.pop("tenant_id"), *who.pop("roles"), **who)


@asynccontextmanager
async def house_of(name: str, database: ServiceDatabase, folder: Path) -> AsyncIterator[House]:
    """The service of that name on its database."""
    async with AsyncExitStack() as exits:
        if name == "tenancy":
            yield AtTenancy(await exits.enter_async_context(tenancy_of(database)))
        elif name == "billing":
            http = await exits.enter_async_context(httpx.AsyncClient())
            billing = Billing(database, settings_for(database, folder), http)
            exits.push_async_callback(billing.close)
            await billing.seed()
            yield AtBilling(billing)
        else:
            engine = await engine_of(database, folder)
            exits.push_async_callback(engine.close)
            yield AtBackupEngine(engine)


def path_of(row: Row, tenant: UUID) -> str:
    """Name the organization itself, and things that nobody has."""
    known = {"{organization_id}": str(tenant), "{plan_id}": "9999", "{disk_key}": "2000"}
    parts = row.template.split("/")
    return "/".join(known.get(part, str(uuid7())) if part.startswith("{") else part for part in parts)
