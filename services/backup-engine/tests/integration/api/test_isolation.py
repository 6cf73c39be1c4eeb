"""What another organization's ids answer: exactly what missing ids answer."""

import json
from typing import Any

import pytest
from backup_engine.testing.engine import Engine
from backup_engine.testing.rows import a_completed_restore, a_machine, a_point, a_server
from common.ids import uuid7

READS = [
    "/api/esxi-servers/{server}/",
    "/api/esxi-servers/{server}/get_datastores/",
    "/api/esxi-servers/{server}/get_networks/",
    "/api/virtual-machines/{vm}/",
    "/api/backup-configs/{configuration}/",
    "/api/backup-jobs/{job}/",
    "/api/restore-points/{point}/",
    "/api/restore/jobs/{restore}/",
    "/api/restore/jobs/{restore}/disks/2000/content",
]
WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("PATCH", "/api/esxi-servers/{server}/", {"username": "mallory"}),
    ("DELETE", "/api/esxi-servers/{server}/", None),
    ("POST", "/api/esxi-servers/{server}/test_connection/", None),
    ("POST", "/api/esxi-servers/{server}/sync_vms/", None),
    ("POST", "/api/virtual-machines/{vm}/power/", {"action": "off"}),
    ("POST", "/api/backup-configs/", {"name": "n", "server_id": "{server}", "vm_ids": ["{vm}"]}),
    ("PATCH", "/api/backup-configs/{configuration}/", {"quiesce": "none"}),
    ("DELETE", "/api/backup-configs/{configuration}/", None),
    ("POST", "/api/backup-jobs/", {"vm_id": "{vm}"}),
    ("POST", "/api/backup-jobs/", {"configuration_id": "{configuration}"}),
    ("POST", "/api/backup-jobs/{job}/cancel/", None),
    ("POST", "/api/restore/vm/", {"restore_point_id": "{point}", "server_id": "{server}", "name": "stolen"}),
    ("POST", "/api/restore/disk/", {"restore_point_id": "{point}"}),
    ("POST", "/api/restore/jobs/{restore}/cancel/", None),
]
LISTS = [
    "/api/esxi-servers/",
    "/api/virtual-machines/",
    "/api/datastores/",
    "/api/backup-configs/",
    "/api/backup-jobs/",
    "/api/restore-points/",
    "/api/backup-chains/",
    "/api/restore/jobs/",
]


async def things_of(engine: Engine, tenant_id: Any) -> dict[str, str]:
    server = await a_server(engine, tenant_id)
    vm = await a_machine(engine, tenant_id, server)
    point = await a_point(engine, tenant_id, vm)
    async with engine.client(tenant_id) as api:
        made = await api.post("/api/backup-configs/", json={"name": "c", "server_id": str(server), "vm_ids": [str(vm)]})
        job = await api.post("/api/backup-jobs/", json={"vm_id": str(vm)})
    assert (made.status_code, job.status_code) == (201, 202), (made.text, job.text)
    restore = await a_completed_restore(engine, tenant_id, point)
    return {
        "server": str(server),
        "vm": str(vm),
        "configuration": made.json()["id"],
        "job": job.json()["id"],
        "point": str(point),
        "restore": str(restore),
    }


def filled(template: Any, ids: dict[str, str]) -> Any:
    text = json.dumps(template)
    for name, value in ids.items():
        text = text.replace("{" + name + "}", value)
    return json.loads(text)


def comparable(answer: Any, ids: dict[str, str]) -> tuple[int, str, dict[str, str]]:
    body = json.loads(answer.text)
    body.pop("request_id", None)
    text = json.dumps(body, sort_keys=True)
    for name, value in ids.items():
        text = text.replace(value, "{" + name + "}")
    skipped = {"x-request-id", "date"}
    return answer.status_code, text, {k: v for k, v in answer.headers.items() if k not in skipped}


@pytest.mark.invariant("S8", "S9")
async def test_a_foreign_id_answers_byte_for_byte_what_a_missing_one_does(engine: Engine) -> None:
    theirs = await things_of(engine, await engine.tenant())
    missing = {name: str(uuid7()) for name in theirs}
    async with engine.client(await engine.tenant()) as api:
        for method, path, body in [("GET", path, None) for path in READS] + WRITES:
            answers = []
            for ids in (theirs, missing):
                answer = await api.request(method, filled(path, ids), json=filled(body, ids))
                assert answer.status_code == 404, (method, path, answer.text)
                answers.append(comparable(answer, ids))
            assert answers[0] == answers[1], (method, path)


async def test_a_configuration_of_mine_cannot_name_a_machine_of_theirs(engine: Engine) -> None:
    theirs, mine = await things_of(engine, await engine.tenant()), await engine.tenant()
    server = await a_server(engine, mine)
    body = {"name": "n", "server_id": str(server), "vm_ids": [theirs["vm"]]}
    async with engine.client(mine) as api:
        answer = await api.post("/api/backup-configs/", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "virtual_machine_not_found")
        assert (await api.get("/api/backup-configs/")).json()["results"] == []


async def test_lists_hold_nothing_of_another_organization(engine: Engine) -> None:
    theirs = await things_of(engine, await engine.tenant())
    async with engine.client(await engine.tenant()) as api:
        for path in LISTS:
            assert (await api.get(path)).json() == {"results": [], "next": None}, path
        for query in (
            f"/api/virtual-machines/?server_id={theirs['server']}",
            f"/api/restore-points/?vm_id={theirs['vm']}",
        ):
            assert (await api.get(query)).json()["results"] == []


async def test_what_was_tried_from_outside_changed_nothing(engine: Engine) -> None:
    owner = await engine.tenant()
    theirs = await things_of(engine, owner)
    async with engine.client(await engine.tenant()) as api:
        for method, path, body in WRITES:
            await api.request(method, filled(path, theirs), json=filled(body, theirs))
    async with engine.client(owner) as api:
        assert (await api.get(f"/api/esxi-servers/{theirs['server']}/")).json()["username"] == "root"
        assert (await api.get(f"/api/backup-jobs/{theirs['job']}/")).json()["status"] == "pending"
        assert len((await api.get("/api/restore/jobs/")).json()["results"]) == 1
