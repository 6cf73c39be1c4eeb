"""The role matrix in every state of an organization and with and without a feature of its plan.

Each service is one application in this process on its own database. Its organizations are brought into each state by
what the service is told, then asked every operation by each role, as the gateway would ask.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx
import pytest
from backup_engine.testing.engine import Engine, engine_of, provisioned
from billing.testing import Billing, organization, settings_for
from common.ids import uuid7
from common.testing import ServiceClient, ServiceDatabase
from tenancy.domain.membership import Membership
from tenancy.domain.roles import Role
from tenancy.testing import Tenancy, tenancy_of

from tests.architecture.role_matrix import (
    FEATURES,
    GROUPS,
    REFUSED_FOR_ROLE,
    REFUSED_FOR_STATE,
    ROLES,
    SERVICES,
    STATES,
    Row,
    rows,
)

PAST_PAYING = {"suspended", "cancelled", "expired"}

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EVERYTHING = frozenset(FEATURES)
PAIRS = [(state, role, EVERYTHING if (s + r) % 2 else frozenset[str]()) for s, state in enumerate(STATES)
         for r, role in enumerate(ROLES)]  # fmt: skip
"""Every state with every role, and each of both with and without the features."""
PRODUCT = [(state, role, features) for state in STATES for role in ROLES for features in (EVERYTHING, frozenset[str]())]
LEFT = [combination for combination in PRODUCT if combination not in PAIRS]


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
        await self._tenancy.lower_quota(tenant, "max_users", 1000)
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


@pytest.fixture(params=SERVICES)
async def house(
    request: pytest.FixtureRequest, databases: dict[str, ServiceDatabase], tmp_path: Path
) -> AsyncIterator[House]:
    name: str = request.param
    async with AsyncExitStack() as exits:
        if name == "tenancy":
            yield AtTenancy(await exits.enter_async_context(tenancy_of(databases[name])))
        elif name == "billing":
            http = await exits.enter_async_context(httpx.AsyncClient())
            billing = Billing(databases[name], settings_for(databases[name], tmp_path), http)
            exits.push_async_callback(billing.close)
            await billing.seed()
            yield AtBilling(billing)
        else:
            engine = await engine_of(databases[name], tmp_path)
            exits.push_async_callback(engine.close)
            yield AtBackupEngine(engine)


def path_of(row: Row, tenant: UUID) -> str:
    """Name the organization itself, and things that nobody has."""
    known = {"{organization_id}": str(tenant), "{plan_id}": "9999", "{disk_key}": "2000"}
    parts = row.template.split("/")
    return "/".join(known.get(part, str(uuid7())) if part.startswith("{") else part for part in parts)


async def play(house: House, service: str, state: str, role: str, features: frozenset[str]) -> dict[str, Any]:
    """Ask every operation that is about an organization; return those that answer otherwise than declared."""
    tenant, person = await house.organization(state, role, features)
    wrong: dict[str, Any] = {}
    async with house.client(user_id=person, tenant_id=tenant, roles=[role]) as client:
        for row in asked(service):
            body = None if row.body is None else json.dumps(row.body).encode()
            headers = {"content-type": "application/json"} if body else {}
            answer = await client.request(row.method, path_of(row, tenant), content=body, headers=headers)
            code = answer.json()["code"] if answer.status_code >= 400 else None
            refusals = REFUSED_FOR_ROLE | REFUSED_FOR_STATE
            refused = code if refusals.get(code) == answer.status_code else None
            expected = row.refusal(state, features) if row.lets_in(role) else "role_required"
            broken = answer.status_code >= 500 and refused is None
            unread = answer.status_code == 422 and code == "invalid_request" and row.act != "anytime"
            if refused != expected or broken or unread:
                wrong[row.operation] = f"{answer.status_code} {code}, and not {expected}"
    return wrong


def asked(service: str) -> list[Row]:
    """The operations of a service that are about an organization, what ends its member's access last."""
    about = [row for row in rows() if row.service == service and set(GROUPS[row.who]) <= set(ROLES)]
    return sorted(about, key=lambda row: row.template.endswith("/leave/"))


@pytest.mark.invariant("S42", "S61")
@pytest.mark.parametrize("state", STATES)
async def test_each_role_may_do_in_each_state_what_its_row_says(
    house: House, request: pytest.FixtureRequest, state: str
) -> None:
    service = request.node.callspec.params["house"]
    wrong = [await play(house, service, *combination) for combination in PAIRS if combination[0] == state]
    assert wrong == [{}] * len(ROLES)


@pytest.mark.long
@pytest.mark.invariant("S42", "S61")
@pytest.mark.parametrize("state", STATES)
async def test_every_role_in_every_state_on_every_plan_is_answered_as_its_row_says(
    house: House, request: pytest.FixtureRequest, state: str
) -> None:
    service = request.node.callspec.params["house"]
    wrong = [await play(house, service, *combination) for combination in LEFT if combination[0] == state]
    assert wrong == [{}] * len(ROLES)
