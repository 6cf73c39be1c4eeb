"""What the platform's staff sees and does: with a reason and an audit row, or not at all (S14)."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest
from common.ids import uuid7
from common.persistence.mechanisms import audit_log
from sqlalchemy import select
from tenancy.persistence import tables
from tenancy.testing import QUOTAS, Tenancy, envelope, payment_confirmed

pytestmark = pytest.mark.integration
BASE = "/api/admin/organizations/"
WHY = {"x-reason": "ticket 4711"}


def desk(tenancy: Tenancy, *roles: str, **who: Any) -> Any:
    return tenancy.client(staff=roles or ("admin",), **who)


async def platform_rows(tenancy: Tenancy, actor: UUID) -> list[Any]:
    """The audit rows of a person of the staff that belong to no organization."""
    admin = await asyncpg.connect(tenancy.database.admin_url)
    try:
        return await admin.fetch("select * from audit_log where actor = $1 and tenant_id is null", str(actor))
    finally:
        await admin.close()


@pytest.mark.invariant("S14")
async def test_a_search_over_organizations_leaves_who_why_and_what_was_shown(tenancy: Tenancy) -> None:
    name = f"Ngoma {uuid7().hex}"
    _, wanted = await tenancy.owned(customer_name=name)
    await tenancy.owned()
    me = uuid7()
    found = await desk(tenancy, "support", user_id=me).get(BASE, params={"search": name.lower()}, headers=WHY)
    assert [row["id"] for row in found.json()["results"]] == [str(wanted)]
    (row,) = await platform_rows(tenancy, me)
    assert (row["action"], row["reason"]) == ("organizations.searched_by_staff", "ticket 4711")
    assert str(wanted) in row["details"]
    percent = await desk(tenancy).get(BASE, params={"search": "%"}, headers=WHY)
    assert percent.json()["results"] == []


@pytest.mark.invariant("S14")
@pytest.mark.parametrize("rest", ["", "{tenant}/", "{tenant}/audit-log/"])
async def test_no_reason_no_answer(tenancy: Tenancy, rest: str) -> None:
    _, tenant = await tenancy.owned()
    path = BASE + rest.format(tenant=tenant)
    assert (await desk(tenancy).get(path)).status_code == 422
    assert (await desk(tenancy).get(path, headers={"x-reason": "x"})).status_code == 422
    assert (await desk(tenancy).get(path, headers=WHY)).status_code == 200
    assert (await tenancy.client(staff=()).get(path, headers=WHY)).status_code == 403


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_reason_with_accents_is_read_as_it_was_written(tenancy: Tenancy, encoding: str) -> None:
    me = uuid7()
    headers = [(b"x-reason", "réclamation reçue à Yaoundé".encode(encoding))]
    assert (await desk(tenancy, user_id=me).get(BASE, headers=headers)).status_code == 200
    (row,) = await platform_rows(tenancy, me)
    assert row["reason"] == "réclamation reçue à Yaoundé"


@pytest.mark.invariant("S14")
async def test_a_read_whose_audit_row_cannot_be_written_does_not_happen(tenancy: Tenancy) -> None:
    _, tenant = await tenancy.owned()
    admin = await asyncpg.connect(tenancy.database.admin_url)
    try:
        await admin.execute("revoke insert on audit_log from tenancy_app, tenancy_staff")
        answers = [await desk(tenancy).get(path, headers=WHY) for path in (BASE, f"{BASE}{tenant}/")]
    finally:
        await admin.execute("grant insert on audit_log to tenancy_app, tenancy_staff")
        await admin.close()
    assert [answer.status_code for answer in answers] == [500, 500]
    assert all(str(tenant) not in answer.text.replace(f"{BASE}{tenant}/", "") for answer in answers)


@pytest.mark.invariant("S14")
async def test_the_owner_reads_in_his_own_log_who_of_the_staff_looked_and_why(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    _, other = await tenancy.owned()
    me = uuid7()
    seen = (await desk(tenancy, "support", user_id=me).get(f"{BASE}{tenant}/", headers=WHY)).json()
    assert seen["organization"]["id"] == str(tenant)
    assert (seen["quotas"], seen["held_for"], len(seen["members"])) == (QUOTAS, None, 1)
    mine = tenancy.client(user_id=owner.id, tenant_id=tenant)
    (entry,) = (await mine.get(f"/api/tenants/organizations/{tenant}/audit-log/")).json()["results"]
    assert (entry["actor"], entry["action"], entry["reason"]) == (str(me), "organization.read_by_staff", "ticket 4711")
    assert await tenancy.rows(other, audit_log) == []
    assert (await desk(tenancy).get(f"{BASE}{uuid7()}/", headers=WHY)).status_code == 404


async def test_what_staff_holds_no_payment_lets_go(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    paid = payment_confirmed(owner)
    await tenancy.receive(paid)
    tenant = paid.tenantid
    assert tenant is not None
    held = await desk(tenancy).post(f"{BASE}{tenant}/suspend/", json={"reason": "stolen card"})
    assert held.json()["status"] == "suspended"
    told = {key: paid.data[key] for key in ("order_id", "billing_cycle", "plan", "period")}
    told["order_id"] = str(uuid7())
    await tenancy.receive(envelope("billing", "subscription.renewed.v1", tenant, told, version=7))
    async with tenancy.store.for_tenant(tenant) as uow:
        assert await uow.session.scalar(select(tables.organizations.c.status)) == "suspended"
    me = tenancy.client(user_id=owner.id, tenant_id=tenant, roles=["owner"], language="fr")
    refused = await me.post(f"/api/tenants/organizations/{tenant}/invite_member/", json={"email": "a@exemple.cm"})
    assert (refused.status_code, refused.json()["code"]) == (403, "organization_suspended")
    assert "aucun paiement" in refused.json()["detail"], "he would pay for nothing"
    released = await desk(tenancy).post(f"{BASE}{tenant}/reactivate/", json={"reason": "it was his"})
    assert released.json()["status"] == "active"
    assert [fact["type"] for fact in await tenancy.facts(tenant)] == [
        "org.provisioned.v1", "org.particulars_changed.v1", "org.suspended.v1", "org.plan_changed.v1",
        "org.reactivated.v1",
    ]  # fmt: skip
    subjects = [mail.subject for mail in await tenancy.mails_to(owner.email)][1:]
    assert subjects == ["Société Exemple est suspendue par notre équipe", "Société Exemple est de nouveau active"]
    again = await desk(tenancy).post(f"{BASE}{tenant}/reactivate/", json={"reason": "once more"})
    assert (again.status_code, again.json()["code"]) == (409, "organization_not_held")


async def test_staff_changes_entitlements_one_by_one_and_everybody_hears_of_it(tenancy: Tenancy) -> None:
    _, tenant = await tenancy.owned()
    wanted = {"reason": "pilot", "quotas": {"max_vms": 70}, "features": {"has_api_access": True}}
    assert (await desk(tenancy).patch(f"{BASE}{tenant}/entitlements/", json=wanted)).status_code == 200
    told = (await tenancy.facts(tenant))[-1]
    assert (told["type"], told["aggregateversion"]) == ("org.plan_changed.v1", 2)
    assert told["data"]["quotas"] == QUOTAS | {"max_vms": 70}
    assert told["data"]["features"]["has_replication"] is True
    (row,) = await tenancy.rows(tenant, audit_log)
    assert row["details"]["after"]["quotas"]["max_vms"] == 70


@pytest.mark.parametrize(
    "wanted", [{"quotas": {"max_vm": 1, "max_vms": 1}}, {"features": {"has_everything": True}}, {"retention": {"x": 1}}]
)
async def test_an_entitlement_that_no_plan_has_is_refused_with_those_that_are(tenancy: Tenancy, wanted: Any) -> None:
    _, tenant = await tenancy.owned()
    answer = await desk(tenancy).patch(f"{BASE}{tenant}/entitlements/", json={"reason": "pilot"} | wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "entitlement_unknown")
    assert "max_vms" in answer.json()["known"]
    told = [fact["type"] for fact in await tenancy.facts(tenant)]
    assert told == ["org.provisioned.v1", "org.particulars_changed.v1"]
    assert await tenancy.rows(tenant, audit_log) == []


@pytest.mark.parametrize("role", ["support", "finance"])
async def test_only_platform_admins_suspend_and_entitle(tenancy: Tenancy, role: str) -> None:
    _, tenant = await tenancy.owned()
    me = desk(tenancy, role)
    assert (await me.post(f"{BASE}{tenant}/suspend/", json={"reason": "because"})).status_code == 403
    assert (await me.patch(f"{BASE}{tenant}/entitlements/", json={"reason": "because"})).status_code == 403
