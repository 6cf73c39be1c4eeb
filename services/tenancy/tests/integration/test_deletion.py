"""Deleting an organization: asked for, called off, due, erased; the neighbour stays."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from common.audit import Sealer, verify
from common.ids import uuid7
from common.persistence.erasure import Eraser
from common.persistence.leftovers import find_leftovers
from common.persistence.mechanisms import audit_log, inbox, mails, outbox
from sqlalchemy import select, update
from tenancy.domain.people import User
from tenancy.persistence import tables
from tenancy.persistence.erasure import PLAN
from tenancy.testing import Tenancy, envelope, payment_confirmed
from tenancy.workflows.due_deletions import DueDeletions

pytestmark = pytest.mark.integration
GRACE = timedelta(days=30)


def path(tenant: UUID, rest: str = "deletion/") -> str:
    return f"/api/tenants/organizations/{tenant}/{rest}"


async def slug(tenancy: Tenancy, tenant: UUID) -> str:
    return str((await tenancy.rows(tenant, tables.organizations))[0]["slug"])


async def ask(tenancy: Tenancy, owner: User, tenant: UUID, **more: Any) -> Any:
    me = tenancy.client(user_id=owner.id, tenant_id=tenant, **more)
    return await me.post(path(tenant), json={"confirmation": await slug(tenancy, tenant)})


async def delete_due(tenancy: Tenancy) -> int:
    return await DueDeletions(tenancy.store, tenancy.tools.letters).turn()


async def everything_done(tenancy: Tenancy, tenant: UUID) -> None:
    """What the other parts of the worker do meanwhile: publish, send, seal."""
    for role, table, column in (("relay", outbox, "published_at"), ("mailer", mails, "sent_at")):
        async with tenancy.store.for_system(role) as uow:
            mine = update(table).where(table.c.tenant_id == tenant)
            await uow.session.execute(mine.values({column: tenancy.clock.now()}))
    await Sealer(tenancy.store, announce=False).seal()


@pytest.mark.invariant("S13")
async def test_a_deleted_organization_leaves_nothing_but_a_nameless_row(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant, other = await tenancy.organization(owner), await tenancy.organization(owner)
    await tenancy.set_features(tenant, has_api_access=True)
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    headers = {"Idempotency-Key": uuid7().hex}
    key = {"name": "CI", "scopes": ["backups:read"]}
    assert (await me.post("/api/tenants/api-keys/", json=key, headers=headers)).status_code == 201
    assert (await me.post(path(tenant, "invite_member/"), json={"email": "x@exemple.cm"})).status_code == 201
    assert (
        await me.patch(path(tenant, "settings/"), json={"name": "Ngoma SARL", "phone": "+237 600000000"})
    ).is_success
    before = await find_leftovers(tenancy.database.admin_url, other)
    assert (await ask(tenancy, owner, tenant)).status_code == 202
    tenancy.clock.advance(GRACE)
    assert await delete_due(tenancy) == 1
    assert [fact["type"] for fact in await tenancy.facts(tenant)][-3:] == [
        "member.removed.v1", "api_key.revoked.v1", "org.deleted.v1",
    ]  # fmt: skip
    await everything_done(tenancy, tenant)
    eraser = Eraser(tenancy.store, PLAN)
    assert await eraser.erase(tenant)
    assert await eraser.erase(tenant) == {}
    left = await find_leftovers(tenancy.database.admin_url, tenant)
    assert set(left) <= {"organizations", "entitlements", "audit_log", "erasures"}
    (row,) = await tenancy.rows(tenant, tables.organizations)
    assert (row["name"], row["email"], row["phone"], row["status"]) == ("", "", None, "deleted")
    for entry in await tenancy.rows(tenant, audit_log):
        assert (entry["details"], entry["address"]) == ({}, None)
    _, faults = await verify(tenancy.store)
    assert str(tenant) not in {fault.chain for fault in faults}
    assert await find_leftovers(tenancy.database.admin_url, other) == before


async def test_nothing_is_deleted_before_its_time_or_after_it_was_called_off(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    due = (await ask(tenancy, owner, tenant)).json()["deletion_due_at"]
    tenancy.clock.advance(GRACE - timedelta(minutes=1))
    assert await delete_due(tenancy) == 0
    assert (await ask(tenancy, owner, tenant)).json()["deletion_due_at"] == due
    assert (await me.delete(path(tenant))).status_code == 204
    tenancy.clock.advance(GRACE)
    assert await delete_due(tenancy) == 0
    subjects = [mail.subject for mail in await tenancy.mails_to(owner.email)][1:]
    assert subjects == ["Société Exemple sera supprimée le 22/12/2026", "Société Exemple ne sera pas supprimée"]


async def test_a_deletion_wants_an_owner_and_the_organizations_own_slug(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    _, other = await tenancy.owned()
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    wrong = await me.post(path(tenant), json={"confirmation": await slug(tenancy, other)})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "deletion_not_confirmed")
    assert (await ask(tenancy, owner, tenant, roles=["admin"])).status_code == 403
    assert (await me.post(path(other), json={"confirmation": "x"})).status_code == 404
    (row,) = await tenancy.rows(tenant, tables.organizations)
    assert row["deletion_due_at"] is None


@pytest.mark.invariant("S42")
async def test_a_suspended_organization_may_be_deleted_without_paying(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    await tenancy.set_status(tenant, "suspended")
    assert (await ask(tenancy, owner, tenant)).status_code == 202


@pytest.mark.parametrize(("status", "expected"), [("expired", "deleted"), ("active", "active")])
async def test_billing_deletes_whom_it_warned_unless_he_paid_meanwhile(
    tenancy: Tenancy, status: str, expected: str
) -> None:
    _, tenant = await tenancy.owned()
    await tenancy.set_status(tenant, status)
    due = {"order_id": str(uuid7()), "reason": "unpaid"}
    await tenancy.receive(envelope("billing", "subscription.deletion_due.v1", tenant, due, version=9))
    (row,) = await tenancy.rows(tenant, tables.organizations)
    assert row["status"] == expected


@pytest.mark.invariant("S46")
async def test_a_repeated_payment_does_not_bring_a_deleted_organization_back(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    paid = payment_confirmed(owner)
    await tenancy.receive(paid)
    assert paid.tenantid is not None
    await ask(tenancy, owner, paid.tenantid)
    tenancy.clock.advance(GRACE)
    await delete_due(tenancy)
    await everything_done(tenancy, paid.tenantid)
    await Eraser(tenancy.store, PLAN).erase(paid.tenantid)
    await tenancy.receive(paid.model_copy(update={"id": uuid7()}))
    assert await tenancy.rows(paid.tenantid, tables.memberships) == []
    async with tenancy.store.for_tenant(paid.tenantid) as uow:
        assert (await uow.session.scalars(select(inbox.c.status))).all() == ["done"]


async def test_members_see_when_their_organization_will_be_deleted(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    tenant, (_, other) = await tenancy.organization(owner), await tenancy.owned()
    viewer = tenancy.client(user_id=uuid7(), tenant_id=tenant, roles=["viewer"])
    assert (await viewer.get(path(tenant))).json() == {"deletion_due_at": None}
    due = (await ask(tenancy, owner, tenant)).json()
    assert (await viewer.get(path(tenant))).json() == due
    stranger = tenancy.client(user_id=uuid7(), tenant_id=other, roles=["owner"])
    foreign, missing = [await stranger.get(path(one)) for one in (tenant, uuid7())]
    assert (foreign.status_code, foreign.json()["code"]) == (404, "organization_not_found")
    assert foreign.json()["detail"] == missing.json()["detail"]
    assert (await stranger.get(path(other))).json() == {"deletion_due_at": None}
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    assert (await me.delete(path(tenant))).status_code == 204
    assert (await viewer.get(path(tenant))).json() == {"deletion_due_at": None}
