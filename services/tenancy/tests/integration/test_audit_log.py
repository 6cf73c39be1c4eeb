"""The audit log: what owners read of it, that nobody changes it, and that a change shows."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from common.audit import AuditRecorded, Sealer, verify
from common.ids import uuid7
from common.persistence.mechanisms import audit_log
from common.persistence.scope import Scope
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tenancy.testing import Tenancy, envelope

pytestmark = pytest.mark.integration


def path(tenant: UUID, rest: str = "") -> str:
    return f"/api/tenants/organizations/{tenant}/audit-log/{rest}"


async def acted(tenancy: Tenancy, *actions: str, tenant: UUID | None = None) -> UUID:
    """An organization in which things were done, sealed."""
    tenant = tenant or await tenancy.organization(await tenancy.person())
    async with tenancy.store.for_tenant(tenant) as uow:
        for action in actions:
            await uow.audit(action, "somebody", actor="a test", before={"a": 1}, after={"a": 2.5})
    await Sealer(tenancy.store, announce=False).seal()
    return tenant


async def as_superuser(tenancy: Tenancy, *statements: str) -> None:
    """What somebody does who has the whole database, triggers switched off."""
    admin = await asyncpg.connect(tenancy.database.admin_url)
    try:
        await admin.execute("set session_replication_role = replica")
        for statement in statements:
            await admin.execute(statement)
    finally:
        await admin.close()


async def fault(tenancy: Tenancy, tenant: UUID, **heads: Any) -> Any:
    _, faults = await verify(tenancy.store, **heads)
    return next((found for found in faults if found.chain == str(tenant)), None)


async def test_an_owner_reads_what_was_done_in_every_service_newest_first(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    _, other = await tenancy.owned()
    await acted(tenancy, "first.done", "second.done", tenant=tenant)
    await acted(tenancy, "theirs.done", tenant=other)
    told = AuditRecorded.example().model_dump(mode="json")
    for target in (tenant, other):
        await tenancy.receive(envelope("backup-engine", "audit.recorded.v1", target, told | {"id": str(uuid7())}))
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    found = (await me.get(path(tenant))).json()["results"]
    assert {row["action"] for row in found} == {"first.done", "second.done", "esxi_server.registered"}
    assert [row["at"] for row in found] == sorted((row["at"] for row in found), reverse=True)
    (second,) = (await me.get(path(tenant), params={"action": "second."})).json()["results"]
    assert second["details"] == {"before": {"a": 1}, "after": {"a": 2.5}}
    assert (second["source"], second["number"]) == ("tenancy", 2)
    assert (await me.get(path(tenant), params={"actor": "nobody"})).json()["results"] == []


async def test_pages_of_the_log_follow_each_other_without_gap_or_repeat(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    await acted(tenancy, *(f"act{i}.done" for i in range(5)), tenant=tenant)
    me, seen, cursor = tenancy.client(user_id=owner.id, tenant_id=tenant), [], None
    while True:
        page = (await me.get(path(tenant), params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [row["action"] for row in page["results"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == [f"act{i}.done" for i in range(5)]


async def test_an_export_has_every_entry_and_is_itself_one(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    await acted(tenancy, "first.done", tenant=tenant)
    answer = await tenancy.client(user_id=owner.id, tenant_id=tenant).get(path(tenant, "export/"))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["action"] for line in lines] == ["audit_log.exported", "first.done"]


async def test_members_do_not_read_the_log_and_strangers_find_none(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    _, other = await tenancy.owned()
    as_member = tenancy.client(user_id=owner.id, tenant_id=tenant, roles=["member"])
    assert (await as_member.get(path(tenant))).status_code == 403
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    assert (await me.get(path(other))).status_code == 404


async def test_an_act_is_noted_with_the_address_that_the_gateway_saw(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    invited = await me.post(
        f"/api/tenants/organizations/{tenant}/invite_member/",
        json={"email": "x@exemple.cm"},
        headers={"x-forwarded-for": "192.0.2.7"},
    )
    assert invited.status_code == 201
    (row,) = await tenancy.rows(tenant, audit_log)
    assert (row["action"], row["address"]) == ("member.invited", "192.0.2.7")


async def test_a_chain_that_nobody_touched_verifies(tenancy: Tenancy) -> None:
    tenant = await acted(tenancy, "first.done", "second.done")
    assert await fault(tenancy, tenant) is None
    rows = await tenancy.rows(tenant, audit_log)
    assert sorted(row["number"] for row in rows) == [1, 2]


TAMPERING = {
    "another actor": ("update audit_log set actor = 'somebody else' where tenant_id = '{t}' and number = 2", 2),
    "other details": ("update audit_log set details = '{{}}' where tenant_id = '{t}' and number = 2", 2),
    "another moment": ("update audit_log set at = at - interval '1 day' where tenant_id = '{t}' and number = 2", 2),
    "a row less": ("delete from audit_log where tenant_id = '{t}' and number = 2", 2),
    "a row moved": ("update audit_log set number = number + 1 where tenant_id = '{t}' and number > 1", 2),
}


@pytest.mark.parametrize(("statement", "number"), TAMPERING.values(), ids=TAMPERING)
async def test_a_change_by_whoever_has_the_database_shows_at_its_row(
    tenancy: Tenancy, statement: str, number: int
) -> None:
    tenant = await acted(tenancy, "first.done", "second.done", "third.done")
    untouched = await acted(tenancy, "first.done")
    if "number + 1" in statement:
        await as_superuser(tenancy, "drop index if exists uq_audit_log_number")
    await as_superuser(tenancy, statement.format(t=tenant))
    found = await fault(tenancy, tenant)
    assert found is not None
    assert found.number == number
    assert await fault(tenancy, untouched) is None


async def test_a_cut_end_and_a_chain_written_anew_show_by_the_days_heads(tenancy: Tenancy, tmp_path: Path) -> None:
    cut = await acted(tenancy, "first.done", "second.done")
    rewritten = await acted(tenancy, "first.done")
    halfway = tmp_path / "tenancy" / f"{tenancy.clock.now().date()}.{os.getpid()}"
    halfway.parent.mkdir()
    halfway.touch()  # a process with this one's id was killed while it wrote
    kept = await Sealer(tenancy.store, heads_folder=tmp_path).keep_heads()
    assert kept is not None
    assert await Sealer(tenancy.store, heads_folder=tmp_path).keep_heads() is None
    assert await fault(tenancy, cut, heads_folder=tmp_path) is None
    unsealed = "number = null, content_hash = null, hash = null"
    await as_superuser(
        tenancy,
        f"delete from audit_log where tenant_id = '{cut}' and number = 2",
        f"update audit_log set actor = 'x', {unsealed} where tenant_id = '{rewritten}'",
    )
    await Sealer(tenancy.store, announce=False).seal()
    assert await fault(tenancy, rewritten) is None
    assert "written anew" in (await fault(tenancy, rewritten, heads_folder=tmp_path)).what
    assert (await fault(tenancy, cut, heads_folder=tmp_path)).number == 2


async def test_a_row_without_a_seal_after_a_minute_is_a_fault(tenancy: Tenancy) -> None:
    tenant = await tenancy.organization(await tenancy.person())
    async with tenancy.store.for_tenant(tenant) as uow:
        await uow.audit("first.done", "x", actor="a test")
    assert await fault(tenancy, tenant) is None
    tenancy.clock.advance(timedelta(minutes=2))
    assert (await fault(tenancy, tenant)).what == "not sealed after a minute"


@pytest.mark.parametrize("door", ["app", "audit", "owner"])
@pytest.mark.parametrize(
    "statement", ["update audit_log set actor = 'x'", "delete from audit_log", "truncate audit_log"]
)
async def test_nobody_changes_a_row_not_even_the_owner(tenancy: Tenancy, door: str, statement: str) -> None:
    tenant = await acted(tenancy, "first.done")
    with pytest.raises((DBAPIError, asyncpg.PostgresError), match="permission denied|never change"):
        if door == "owner":
            admin = await asyncpg.connect(tenancy.database.admin_url)
            try:
                await admin.execute(statement)
            finally:
                await admin.close()
        else:
            async with tenancy.store.database.session(door, Scope(tenant_id=tenant)) as session:
                await session.execute(text(statement))
    assert len(await tenancy.rows(tenant, audit_log)) == 1
