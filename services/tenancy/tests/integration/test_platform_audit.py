"""The platform's own audit chain: read with a reason, and never without leaving that it was read (S14)."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from common.audit import AuditRecorded, Sealer
from common.ids import uuid7
from common.messaging import Envelope
from common.persistence.erasure import Eraser
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from tenancy.api import audit_entries
from tenancy.persistence.erasure import PLAN
from tenancy.persistence.tables import platform_audit_entries
from tenancy.testing import Tenancy, envelope, payment_confirmed

pytestmark = pytest.mark.integration
BASE = "/api/admin/audit-log/"
WHY = {"x-reason": "yearly review"}


async def done(tenancy: Tenancy, action: str, *, times: int = 1) -> UUID:
    """Acts of one person that belong to no organization."""
    actor = uuid7()
    for number in range(times):
        async with tenancy.store.for_system("staff") as uow:
            await uow.audit(action, str(number), actor=actor)
    return actor


async def rows_of(tenancy: Tenancy, actor: UUID) -> list[Any]:
    admin = await asyncpg.connect(tenancy.database.admin_url)
    try:
        return await admin.fetch("select * from audit_log where actor = $1 order by id", str(actor))
    finally:
        await admin.close()


@pytest.mark.invariant("S14")
async def test_it_shows_what_belongs_to_no_organization_and_that_it_was_read(tenancy: Tenancy) -> None:
    _, tenant = await tenancy.owned()
    actor = await done(tenancy, "plan.changed", times=3)
    async with tenancy.store.for_tenant(tenant) as uow:
        await uow.audit("plan.changed", "of an organization", actor=actor)
    me = uuid7()
    admin = tenancy.client(user_id=me, staff=("admin",))
    first = (await admin.get(BASE, params={"actor": str(actor), "limit": 2}, headers=WHY)).json()
    following = {"actor": str(actor), "limit": 2, "cursor": first["next"]}
    rest = (await admin.get(BASE, params=following, headers=WHY)).json()
    assert [entry["target"] for entry in first["results"] + rest["results"]] == ["2", "1", "0"]
    assert rest["next"] is None
    read = await rows_of(tenancy, me)
    assert [(row["action"], row["reason"], row["tenant_id"]) for row in read] == [
        ("platform_audit.read", "yearly review", None)
    ] * 2
    assert json.loads(read[0]["details"])["scope"]["actor"] == str(actor)


async def test_it_is_narrowed_by_action_target_and_time(tenancy: Tenancy) -> None:
    actor = await done(tenancy, "plan.changed", times=2)
    admin, mine = tenancy.client(staff=("admin",)), {"actor": str(actor)}
    for narrowed, count in (
        ({"action": "plan."}, 2),
        ({"action": "plan.read"}, 0),
        ({"target": "1"}, 1),
        ({"since": "2100-01-01T00:00:00Z"}, 0),
        ({"until": "2001-01-01T00:00:00Z"}, 0),
    ):
        shown = (await admin.get(BASE, params=mine | narrowed, headers=WHY)).json()["results"]
        assert len(shown) == count, narrowed


@pytest.mark.invariant("S14")
@pytest.mark.parametrize("rest", ["", "export/", "verification/"])
async def test_no_reason_no_answer_and_nobody_else_reads_it(tenancy: Tenancy, rest: str) -> None:
    owner, tenant = await tenancy.owned()
    admin = tenancy.client(staff=("admin",))
    assert (await admin.get(BASE + rest)).status_code == 422
    assert (await admin.get(BASE + rest, headers=WHY)).status_code == 200
    for other in (
        tenancy.client(staff=("support",)),
        tenancy.client(staff=("finance",)),
        tenancy.client(user_id=owner.id, tenant_id=tenant),
    ):
        assert (await other.get(BASE + rest, headers=WHY)).json()["code"] == "staff_only"


@pytest.mark.invariant("S14")
@pytest.mark.parametrize("rest", ["", "export/", "verification/"])
async def test_a_read_that_cannot_be_written_down_does_not_happen(tenancy: Tenancy, rest: str) -> None:
    admin = await asyncpg.connect(tenancy.database.admin_url)
    try:
        await admin.execute("revoke insert on audit_log from tenancy_staff")
        answer = await tenancy.client(staff=("admin",)).get(BASE + rest, headers=WHY)
        assert answer.status_code == 500
        assert "results" not in answer.text
    finally:
        await admin.execute("grant insert on audit_log to tenancy_staff")
        await admin.close()


async def test_an_export_is_whole_and_each_part_of_it_is_written_down(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_entries, "EXPORT_PAGE", 2)
    actor, me = await done(tenancy, "plan.changed", times=5), uuid7()
    admin = tenancy.client(user_id=me, staff=("admin",))
    answer = await admin.get(BASE + "export/", params={"actor": str(actor)}, headers=WHY)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["target"] for line in lines] == ["4", "3", "2", "1", "0"]
    assert [json.loads(row["details"])["rows"] for row in await rows_of(tenancy, me)] == [2, 2, 1]


async def test_a_row_that_was_changed_is_named(tenancy: Tenancy) -> None:
    await done(tenancy, "plan.changed", times=2)
    await Sealer(tenancy.store, announce=False, heads_folder=None).seal()
    admin, desk = await asyncpg.connect(tenancy.database.admin_url), tenancy.client(staff=("admin",))
    whole = (await desk.get(BASE + "verification/", headers=WHY)).json()
    assert (whole["is_whole"], whole["broken_row"]) == (True, None)
    try:
        await admin.execute("alter table audit_log disable trigger all")
        row = await admin.fetchval("select id from audit_log where tenant_id is null and number = $1", whole["rows"])
        await admin.execute("update audit_log set reason = 'another' where id = $1", row)
        broken = (await desk.get(BASE + "verification/", headers=WHY)).json()
        assert (broken["is_whole"], broken["broken_at"], broken["broken_row"]) == (False, whole["rows"], str(row))
        await admin.execute("update audit_log set reason = '' where id = $1", row)
    finally:
        await admin.execute("alter table audit_log enable trigger all")
        await admin.close()


def recorded(source: str, actor: UUID, *, at: datetime, tenant: UUID | None = None, **changes: Any) -> Envelope:
    """A row of another service's audit log."""
    told = AuditRecorded.example().model_dump(mode="json") | {
        "id": str(uuid7()), "actor": str(actor), "action": "orders.listed_by_staff", "reason": "a complaint",
        "at": at.isoformat(),
    }  # fmt: skip
    return envelope(source, "audit.recorded.v1", tenant or uuid7(), told | changes).model_copy(
        update={"tenantid": tenant}
    )


@pytest.mark.invariant("S100")
async def test_what_other_services_did_for_the_platform_is_merged_in_order_and_once(tenancy: Tenancy) -> None:
    now, actor = tenancy.clock.now(), await done(tenancy, "plan.changed", times=2)
    earlier = recorded("billing", actor, at=now - timedelta(days=1), target="earlier")
    later = recorded("backup-engine", actor, at=now + timedelta(days=1), target="later")
    again = earlier.model_copy(update={"id": uuid7()})
    await tenancy.receive(later, earlier, again, later)
    assert {(await tenancy.inbox_row(one.id)).status for one in (earlier, later, again)} == {"done"}
    admin, mine = tenancy.client(staff=("admin",)), {"actor": str(actor), "limit": 3}
    first = (await admin.get(BASE, params=mine, headers=WHY)).json()
    rest = (await admin.get(BASE, params=mine | {"cursor": first["next"]}, headers=WHY)).json()
    assert [(entry["source"], entry["target"]) for entry in first["results"] + rest["results"]] == [
        ("backup-engine", "later"), ("tenancy", "1"), ("tenancy", "0"), ("billing", "earlier"),
    ]  # fmt: skip
    assert rest["next"] is None
    narrowed = {"actor": str(actor), "action": "orders."}
    found = (await admin.get(BASE, params=narrowed, headers=WHY)).json()["results"]
    assert [(entry["target"], entry["reason"], entry["number"]) for entry in found] == [
        ("later", "a complaint", 7), ("earlier", "a complaint", 7),
    ]  # fmt: skip
    lines = (await admin.get(BASE + "export/", params={"actor": str(actor)}, headers=WHY)).text.splitlines()
    assert [json.loads(line)["target"] for line in lines] == ["later", "1", "0", "earlier"]


@pytest.mark.invariant("S100")
async def test_no_organization_sees_them_and_they_stay_when_one_goes(tenancy: Tenancy) -> None:
    (owner, tenant), (_, other) = await tenancy.owned(), await tenancy.owned()
    now, actor = tenancy.clock.now(), uuid7()
    await tenancy.receive(
        recorded("billing", actor, at=now, target="of nobody"),
        recorded("billing", actor, at=now, target="theirs", tenant=tenant),
        recorded("billing", actor, at=now, target="another's", tenant=other),
    )
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    log = f"/api/tenants/organizations/{tenant}/audit-log/"
    shown = (await me.get(log, params={"actor": str(actor)})).json()["results"]
    assert [entry["target"] for entry in shown] == ["theirs"]
    for door in (tenancy.store.for_tenant(tenant), tenancy.store.for_user(owner.id)):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with door as uow:
                await uow.session.execute(select(platform_audit_entries))
    async with tenancy.store.for_tenant(tenant) as uow:
        await uow.request_erasure()
    await Eraser(tenancy.store, PLAN).erase(tenant)
    found = await tenancy.client(staff=("admin",)).get(BASE, params={"actor": str(actor)}, headers=WHY)
    assert [entry["target"] for entry in found.json()["results"]] == ["of nobody"]


@pytest.mark.invariant("S100")
async def test_any_other_fact_without_a_tenant_is_put_aside(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    paid = payment_confirmed(owner).model_copy(update={"tenantid": None})
    await tenancy.receive(paid)
    row = await tenancy.inbox_row(paid.id)
    assert (row.status, row.reason) == ("parked", "the fact names no tenant")
