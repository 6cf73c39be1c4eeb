"""A person deletes restore points and thinks again: a tombstone, told once, taken back within seven days."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from backup_engine.testing.engine import Engine
from backup_engine.testing.rows import a_machine, a_point, a_server, query
from common.ids import uuid7
from common.persistence.mechanisms import outbox
from sqlalchemy import select

pytestmark = pytest.mark.integration

PATH = "/api/restore-points/"


async def told(engine: Engine, tenant: UUID) -> list[dict[str, Any]]:
    async with engine.built.store.for_system("relay") as uow:
        mine = (outbox.c.tenant_id == tenant) & (outbox.c.type == "points.deleted.v1")
        rows = await uow.session.execute(select(outbox.c.envelope).where(mine))
        return [envelope["data"] for envelope in rows.scalars()]


async def audited(engine: Engine, tenant: UUID) -> list[str]:
    sql = "select action from audit_log where action like 'restore_point.%' order by number"
    return [row.action for row in await query(engine, tenant, sql)]


@pytest.mark.invariant("D72")
async def test_a_deleted_point_is_kept_apart_and_comes_back_as_it_was(engine: Engine) -> None:
    tenant, other = await engine.tenant(), await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    older, newer = [await a_point(engine, tenant, vm) for _ in range(2)]
    theirs = await a_point(engine, other, await a_machine(engine, other, await a_server(engine, other)))
    async with engine.client(tenant) as api, engine.client(other) as neighbour:
        before = (await api.get(f"{PATH}{newer}/")).json()
        foreign = await api.delete(f"{PATH}{theirs}/")
        assert (foreign.status_code, foreign.json()["code"]) == (404, "restore_point_not_found")
        answers = await asyncio.gather(*(api.delete(f"{PATH}{newer}/") for _ in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
        assert len({answer.json()["tombstoned_at"] for answer in answers}) == 1
        assert [one["id"] for one in (await api.get(PATH)).json()["results"]] == [str(older)]
        assert [one["id"] for one in (await api.get(f"{PATH}?deleted=true")).json()["results"]] == [str(newer)]
        assert (await neighbour.get(f"{PATH}?deleted=true")).json()["results"] == []
        assert (await api.get(f"{PATH}{newer}/")).status_code == 404
        refused = await api.post("/api/restore/disk/", json={"restore_point_id": str(newer)})
        assert refused.status_code == 404
        (fact,) = await told(engine, tenant)
        assert (fact["restore_point_ids"], fact["vm_id"]) == ([str(newer)], str(vm))
        back = await api.post(f"{PATH}{newer}/undelete/")
        assert (back.status_code, back.json()) == (200, before)
        assert (await api.post(f"{PATH}{newer}/undelete/")).json() == before
        assert (await api.post(f"{PATH}{theirs}/undelete/")).status_code == 404
        assert (await neighbour.get(f"{PATH}{theirs}/")).status_code == 200
    assert await audited(engine, tenant) == ["restore_point.deleted", "restore_point.undeleted"]
    assert len(await told(engine, tenant)) == 1
    assert await told(engine, other) == []


@pytest.mark.invariant("D72")
@pytest.mark.parametrize(("age", "status"), [("6 days 23 hours 59 minutes", 200), ("7 days", 409)])
async def test_it_comes_back_for_seven_days_and_then_no_more(engine: Engine, age: str, status: int) -> None:
    tenant = await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    point = await a_point(engine, tenant, vm)
    async with engine.client(tenant) as api:
        assert (await api.delete(f"{PATH}{point}/")).status_code == 200
        sql = "update restore_points set tombstoned_at = now() - cast(:age as text)::interval"
        await query(engine, tenant, sql, age=age)
        answer = await api.post(f"{PATH}{point}/undelete/")
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["code"] == "restore_point_gone"
    assert (await audited(engine, tenant))[1:] == (["restore_point.undeleted"] if status == 200 else [])


async def test_a_machine_without_points_stops_counting_and_comes_back_if_there_is_a_place(engine: Engine) -> None:
    tenant = await engine.tenant(max_vms=1)
    server = await a_server(engine, tenant)
    vm, next_vm = [await a_machine(engine, tenant, server, name) for name in ("one", "two")]
    point = await a_point(engine, tenant, vm)
    body = {"server_id": str(server), "vm_ids": [str(vm)], "name": "one"}
    async with engine.client(tenant) as api:
        first = (await api.post("/api/backup-configs/", json=body)).json()
        await api.delete(f"/api/backup-configs/{first['id']}/")
        another = body | {"vm_ids": [str(next_vm)]}
        assert (await api.post("/api/backup-configs/", json=another)).status_code == 403
        assert (await api.delete(f"{PATH}{point}/")).status_code == 200
        taken = (await api.post("/api/backup-configs/", json=another)).json()
        refused = await api.post(f"{PATH}{point}/undelete/")
        assert (refused.status_code, refused.json()["code"], refused.json()["resource"]) == (
            403,
            "quota_reached",
            "vms",
        )
        assert (await api.get(f"{PATH}{point}/")).status_code == 404
        await api.delete(f"/api/backup-configs/{taken['id']}/")
        assert (await api.post(f"{PATH}{point}/undelete/")).status_code == 200


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_only_owner_and_admins_delete_points(engine: Engine, role: str) -> None:
    tenant = await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    point = await a_point(engine, tenant, vm)
    async with engine.client(tenant, role) as api:
        assert (await api.delete(f"{PATH}{point}/")).status_code == 403
        assert (await api.post(f"{PATH}{point}/undelete/")).status_code == 403
        assert (await api.delete(f"{PATH}{uuid7()}/")).status_code == 403
        assert (await api.get(f"{PATH}{point}/")).status_code == 200
