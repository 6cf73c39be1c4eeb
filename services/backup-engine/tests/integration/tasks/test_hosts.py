"""What hosts refuse: each is a problem with a code and what to do, and changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from backup_engine.testing.lab import Lab
from common.ids import uuid7
from simulators.esxi import HostSpec, start


async def register(lab: Lab, **changed: Any) -> str:
    fields = {name: lab.host[name] for name in ("port", "username", "password")}
    body = {"hostname": lab.host["host"], **fields, **changed}
    if not changed.keys() & {"hostname", "port"}:
        answer = await lab.api.patch(f"/api/esxi-servers/{lab.server_id}/", json=changed)
        assert answer.status_code == 200, answer.text
        return lab.server_id
    made = await lab.post("/api/esxi-servers/", body, 201)
    return str(made["id"])


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"password": "wrong"}, 422, "hypervisor_login_refused"),
        ({"hostname": "no-such-host.invalid"}, 503, "host_unreachable"),
        ({"port": 1}, 503, "host_unreachable"),
        ({"hostname": "169.254.169.254"}, 422, "host_not_allowed"),
        ({"thumbprint": "0" * 64}, 409, "certificate_changed"),
    ],
)
async def test_a_host_that_cannot_be_used_is_a_problem_with_advice(
    lab: Lab, changed: dict[str, Any], status: int, code: str
) -> None:
    server_id = await register(lab, **changed)
    for act in ("test_connection", "sync_vms"):
        answer = await lab.api.post(f"/api/esxi-servers/{server_id}/{act}/")
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert len(answer.json()["detail"]) > 20
    shown = await lab.get(f"/api/esxi-servers/{server_id}/")
    assert (shown["connection_status"], shown["last_error"]["code"]) == ("failed", code)
    assert len((await lab.get("/api/virtual-machines/"))["results"]) == 1


@pytest.mark.invariant("D28")
async def test_a_replaced_certificate_stops_everything_until_a_person_accepts_it(lab: Lab) -> None:
    machine = await lab.machine("web")
    await lab.api.patch(f"/api/esxi-servers/{lab.server_id}/", json={"thumbprint": "ab" * 32})
    async with lab.engine.running():
        job = await lab.back_up(machine["id"])
        assert job["tasks"][0]["error"]["code"] == "certificate_changed"
        accepted = await lab.api.patch(
            f"/api/esxi-servers/{lab.server_id}/", json={"thumbprint": lab.host["thumbprint"]}
        )
        assert accepted.status_code == 200
        assert (await lab.back_up(machine["id"]))["status"] == "completed"


async def test_a_wrong_password_ends_a_backup_and_gives_its_place_back(lab_with: Callable[..., Any]) -> None:
    lab: Lab = await lab_with("web:96m:12m", max_backups_per_month=1)
    machine = await lab.machine("web")
    await lab.api.patch(f"/api/esxi-servers/{lab.server_id}/", json={"password": "wrong"})
    async with lab.engine.running():
        job = await lab.back_up(machine["id"])
        assert (job["status"], job["tasks"][0]["error"]["code"]) == ("failed", "hypervisor_login_refused")
        assert (await lab.get("/api/restore-points/"))["results"] == []
        await lab.api.patch(f"/api/esxi-servers/{lab.server_id}/", json={"password": lab.host["password"]})
        assert (await lab.back_up(machine["id"]))["status"] == "completed"


async def test_a_machine_that_is_gone_ends_its_backup_and_keeps_its_points(lab: Lab) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        await lab.back_up(machine["id"])
        await lab.idle()
        server_id = await lab.api.get(f"/api/esxi-servers/{lab.server_id}/")
        assert server_id.status_code == 200
        async with lab.engine.built.store.for_tenant(lab.tenant_id) as uow:
            await uow.machines.change(UUID(machine["id"]), moid="4711")
        job = await lab.back_up(machine["id"])
    assert (job["status"], job["tasks"][0]["error"]["code"]) == ("failed", "vm_not_found")
    assert "Synchronise" in job["tasks"][0]["error"]["detail"]
    assert len((await lab.get("/api/restore-points/"))["results"]) == 1


async def test_power_follows_the_host(lab: Lab) -> None:
    machine = await lab.machine("web")
    path = f"/api/virtual-machines/{machine['id']}/power/"
    assert (await lab.post(path, {"action": "off"}, 200))["power_state"] == "off"
    assert (await lab.post(path, {"action": "on"}, 200))["power_state"] == "on"
    assert (await lab.post(path, {"action": "shutdown"}, 200))["power_state"] in {"on", "off"}


async def test_placements_are_those_of_the_host(lab: Lab) -> None:
    stores = (await lab.get(f"/api/esxi-servers/{lab.server_id}/get_datastores/"))["results"]
    networks = (await lab.get(f"/api/esxi-servers/{lab.server_id}/get_networks/"))["results"]
    assert [one["name"] for one in stores] == ["datastore1"]
    assert stores[0]["free_bytes"] > 0
    assert networks
    assert (await lab.get("/api/datastores/", server_id=str(uuid7())))["results"] == []


async def test_a_second_synchronisation_keeps_ids_and_marks_what_is_gone(lab: Lab, tmp_path: Path) -> None:
    machine = await lab.machine("web")
    async with lab.engine.built.store.for_tenant(lab.tenant_id) as uow:
        await uow.machines.change(UUID(machine["id"]), name="renamed by nobody")
    await lab.post(f"/api/esxi-servers/{lab.server_id}/sync_vms/", status=200)
    assert (await lab.machine("web"))["id"] == machine["id"]
    other = await start(HostSpec(tmp_path / "empty"))
    try:
        async with lab.engine.built.store.for_tenant(lab.tenant_id) as uow:
            await uow.servers.change(UUID(lab.server_id), port=other.port, thumbprint=None)
        await lab.post(f"/api/esxi-servers/{lab.server_id}/sync_vms/", status=200)
    finally:
        await other.stop()
    assert (await lab.machine("web"))["present"] is False
    refused = await lab.api.post("/api/backup-jobs/", json={"vm_id": machine["id"]})
    assert (refused.status_code, refused.json()["code"]) == (404, "virtual_machine_not_found")
