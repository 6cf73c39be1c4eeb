"""Malformed requests, roles, idempotency, pages."""

import asyncio

import pytest
from backup_engine.contracts import documents
from backup_engine.testing.engine import Engine
from backup_engine.testing.rows import a_machine, a_point, a_server
from common.ids import uuid7

SERVER = {"hostname": "esxi.example", "username": "root", "password": "secret"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/esxi-servers/", {**SERVER, "hostname": "https://esxi.example/"}, "body.hostname"),
        ("/api/esxi-servers/", {**SERVER, "hostname": "a b"}, "body.hostname"),
        ("/api/esxi-servers/", {**SERVER, "port": 70000}, "body.port"),
        ("/api/esxi-servers/", {**SERVER, "thumbprint": "AB:CD"}, "body.thumbprint"),
        ("/api/esxi-servers/", {**SERVER, "is_admin": True}, "body.is_admin"),
        ("/api/esxi-servers/", {"hostname": "h.example", "username": "u"}, "body.password"),
        ("/api/backup-jobs/", {}, "body"),
        ("/api/backup-jobs/", {"vm_id": str(uuid7()), "configuration_id": str(uuid7())}, "body"),
        ("/api/backup-jobs/", {"vm_id": "no uuid"}, "body.vm_id"),
        ("/api/backup-configs/", {"name": "", "server_id": str(uuid7()), "vm_ids": [str(uuid7())]}, "body.name"),
        ("/api/backup-configs/", {"name": "n", "server_id": str(uuid7()), "vm_ids": []}, "body.vm_ids"),
        ("/api/restore/disk/", {"restore_point_id": str(uuid7()), "format": "qcow2"}, "body.format"),
        ("/api/restore/vm/", {"restore_point_id": str(uuid7()), "server_id": str(uuid7())}, "body.name"),
    ],
)
async def test_a_malformed_body_names_the_field_and_changes_nothing(
    engine: Engine, path: str, body: dict, field: str
) -> None:
    async with engine.client(await engine.tenant()) as api:
        answer = await api.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
        assert field in [error["field"] for error in answer.json()["errors"]]
        assert "secret" not in answer.text
        assert (await api.get("/api/esxi-servers/")).json()["results"] == []


async def test_what_is_no_json_and_unknown_query_fields_are_refused(engine: Engine) -> None:
    async with engine.client(await engine.tenant()) as api:
        broken = await api.post("/api/esxi-servers/", content=b"{", headers={"content-type": "application/json"})
        unknown = await api.get("/api/virtual-machines/?serverid=1")
        cursor = await api.get("/api/virtual-machines/?cursor=x")
        no_slash = await api.get("/api/esxi-servers")
    assert [answer.status_code for answer in (broken, unknown, cursor, no_slash)] == [422, 422, 422, 404]


async def test_a_password_is_in_no_answer_and_not_readable_in_the_database(engine: Engine) -> None:
    tenant = await engine.tenant()
    async with engine.client(tenant) as api:
        made = await api.post("/api/esxi-servers/", json={**SERVER, "password": "hunter2-hunter2"})
        shown = await api.get(f"/api/esxi-servers/{made.json()['id']}/")
    assert "hunter2" not in made.text + shown.text
    async with engine.built.store.for_tenant(tenant) as uow:
        (server,) = await uow.servers.page(None, 10)
    assert b"hunter2" not in server.sealed_password
    assert "hunter2" not in repr(server)


async def test_the_same_host_twice_is_a_conflict_and_takes_one_place(engine: Engine) -> None:
    tenant = await engine.tenant(max_esxi_servers=2)
    async with engine.client(tenant) as api:
        first = await api.post("/api/esxi-servers/", json=SERVER)
        second = await api.post("/api/esxi-servers/", json=SERVER)
        third = await api.post("/api/esxi-servers/", json={**SERVER, "hostname": "other.example"})
    assert (first.status_code, second.status_code, third.status_code) == (201, 409, 201)
    assert second.json()["code"] == "esxi_server_exists"


async def test_a_server_with_restore_points_is_not_removed(engine: Engine) -> None:
    tenant = await engine.tenant()
    server = await a_server(engine, tenant)
    await a_point(engine, tenant, await a_machine(engine, tenant, server))
    async with engine.client(tenant) as api:
        answer = await api.delete(f"/api/esxi-servers/{server}/")
        assert (answer.status_code, answer.json()["code"]) == (409, "esxi_server_in_use")
        assert (await api.patch(f"/api/esxi-servers/{server}/", json={"is_active": False})).status_code == 200
        vm = (await api.get("/api/virtual-machines/")).json()["results"][0]["id"]
        refused = await api.post("/api/backup-jobs/", json={"vm_id": vm})
    assert (refused.status_code, refused.json()["code"]) == (409, "esxi_server_inactive")


@pytest.mark.invariant("S61")
async def test_a_viewer_reads_and_writes_nothing(engine: Engine) -> None:
    tenant = await engine.tenant()
    ids = {"server_id", "vm_id", "configuration_id", "job_id", "point_id", "disk_key"}
    async with engine.client(tenant, "viewer") as viewer:
        for path, operations in documents()["openapi.json"]["paths"].items():
            filled = path
            for name in ids:
                filled = filled.replace("{" + name + "}", "1" if name == "disk_key" else str(uuid7()))
            for method, operation in operations.items():
                roles = operation["x-access"]["roles"]
                reading = method == "get"
                if path.endswith("/export/backup-engine/"):
                    assert roles == ["owner"], "all of it at once is for its owner"
                    reading = False
                elif reading:
                    assert roles == ["admin", "member", "owner", "viewer"]
                elif (method == "delete" and "point_id" in path) or path.endswith("/undelete/"):
                    assert roles == ["admin", "owner"], "what was backed up is not every member's to delete"
                else:
                    assert roles == ["admin", "member", "owner"]
                answer = await viewer.request(method.upper(), filled, json={} if method in {"post", "patch"} else None)
                expected = {200, 404} if reading else {403}
                assert answer.status_code in expected, (method, path, answer.text)


@pytest.mark.invariant("S63")
async def test_without_the_gateways_token_nothing_answers(engine: Engine) -> None:
    import httpx

    transport = httpx.ASGITransport(app=engine.built.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as stranger:
        answer = await stranger.get("/api/esxi-servers/", headers={"x-tenant-id": str(uuid7())})
    assert answer.status_code == 401


@pytest.mark.invariant("S43")
async def test_a_key_makes_one_job_however_often_it_is_sent(engine: Engine) -> None:
    tenant = await engine.tenant()
    vm = await a_machine(engine, tenant, await a_server(engine, tenant))
    async with engine.client(tenant) as api:
        body, key = {"vm_id": str(vm)}, {"Idempotency-Key": "night-1"}
        answers = await asyncio.gather(*(api.post("/api/backup-jobs/", json=body, headers=key) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        other = await api.post("/api/backup-jobs/", json={"vm_id": str(uuid7())}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert len((await api.get("/api/backup-jobs/")).json()["results"]) == 1


async def test_pages_follow_each_other_without_gap_or_repeat(engine: Engine) -> None:
    tenant = await engine.tenant()
    server = await a_server(engine, tenant)
    made = [str(await a_machine(engine, tenant, server, f"vm{n}")) for n in range(5)]
    seen, cursor = [], None
    async with engine.client(tenant) as api:
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = (await api.get("/api/virtual-machines/", params=query)).json()
            seen += [one["id"] for one in page["results"]]
            cursor = page["next"]
            if cursor is None:
                break
    assert sorted(seen) == sorted(made)
    assert len(seen) == len(set(seen))


async def test_a_restore_asks_which_datastore_rather_than_guessing(engine: Engine) -> None:
    tenant = await engine.tenant()
    server = await a_server(engine, tenant)
    point = await a_point(engine, tenant, await a_machine(engine, tenant, server))
    body = {"restore_point_id": str(point), "server_id": str(server), "name": "copy"}
    async with engine.client(tenant) as api:
        unknown = await api.post("/api/restore/vm/", json={**body, "datastore": "nowhere"})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "datastore_unknown")
        missing = await api.post("/api/restore/disk/", json={"restore_point_id": str(point), "disk_key": 9999})
        assert (missing.status_code, missing.json()["code"]) == (404, "disk_not_found")
        waiting = (await api.post("/api/restore/disk/", json={"restore_point_id": str(point)})).json()
        early = await api.get(f"/api/restore/jobs/{waiting['id']}/disks/2000/content")
        assert (early.status_code, early.json()["code"]) == (409, "restore_content_not_ready")
