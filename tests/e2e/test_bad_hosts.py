"""Hosts, machines, vaults and quotas that stand in the way: a problem that says what to do, and nothing changed.

What needs an organization's state that nobody outside can bring about (suspended, expired) is proven in
backup-engine's integration tests.
"""

import asyncio
import json
import re
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from common.ids import uuid7
from common.testing import answered
from devstack.customer import JSON
from devstack.demo.esxi import EsxiControl
from devstack.demo.patience import ended
from devstack.premises import House, a_host, server_body
from devstack.refusals import refused, unchanged
from pyVim.connect import Disconnect, SmartConnect

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

SERVERS, MACHINES, CONFIGURATIONS, JOBS = (
    f"/api/{name}/" for name in ("esxi-servers", "virtual-machines", "backup-configs", "backup-jobs")
)
BRONZE_SERVERS = 2


@pytest.mark.parametrize("act", ["test_connection", "sync_vms"])
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param({"password": "wrong"}, 422, "hypervisor_login_refused", id="wrong password"),
        pytest.param({"username": "nobody"}, 422, "hypervisor_login_refused", id="unknown user"),
        pytest.param({"port": 1}, 503, "host_unreachable", id="refused port"),
        pytest.param({"hostname": "esxi.invalid"}, 503, "host_unreachable", id="unresolvable name"),
        pytest.param({"hostname": "169.254.169.254"}, 422, "host_not_allowed", id="metadata address"),
        pytest.param({"hostname": "0.0.0.0"}, 422, "host_not_allowed", id="no address"),
        pytest.param({"thumbprint": "ab" * 32}, 409, "certificate_changed", id="another certificate"),
    ],
)
async def test_a_host_that_cannot_be_used_says_why(
    second: House, endpoints, changes: JSON, status: int, code: str, act: str
) -> None:
    async with second.browser() as customer, unchanged(customer):
        body = server_body(endpoints["esxi"][0], **changes)
        server = await customer.post(SERVERS, body, expect=201)
        path = f"{SERVERS}{server['id']}/"
        try:
            problem = await refused(customer, "POST", f"{path}{act}/", status, code)
            assert body["password"] not in json.dumps(problem)
            noted = await customer.get(path)
            assert (noted["connection_status"], noted["last_error"]["code"]) == ("failed", code)
            assert noted["last_error"]["detail"] == problem["detail"]
            assert (await customer.get(MACHINES, server_id=server["id"]))["results"] == []
        finally:
            await customer.call("DELETE", path, expect=204)


async def test_a_changed_certificate_is_not_talked_to_until_it_is_accepted(second: House, tmp_path: Path) -> None:
    async with second.browser() as customer:
        with a_host(tmp_path / "old") as host:
            server = await customer.post(SERVERS, server_body(host, thumbprint=None), expect=201)
            path = f"{SERVERS}{server['id']}/"
            pinned = (await customer.post(f"{path}test_connection/"))["thumbprint"]
        with a_host(tmp_path / "new", port=host["port"]) as changed:
            problem = await refused(customer, "POST", f"{path}test_connection/", 409, "certificate_changed")
            assert problem["expected"] == pinned
            assert problem["seen"] == changed["thumbprint"].replace(":", "").lower()
            assert (await customer.get(path))["thumbprint"] == pinned
            assert (await EsxiControl(changed["control"]).ask("/_sim/requests"))["results"] == []
            await customer.call("PATCH", path, {"thumbprint": changed["thumbprint"]})
            assert (await customer.post(f"{path}test_connection/"))["success"]
        await customer.call("DELETE", path, expect=204)


async def test_a_failed_synchronisation_leaves_the_inventory_as_it_was(first: House, endpoints) -> None:
    path = f"{SERVERS}{first.ids['server_id']}/"
    async with first.browser() as customer:
        before = await customer.get(MACHINES)
        await customer.call("PATCH", path, {"password": "wrong"})
        await refused(customer, "POST", f"{path}sync_vms/", 422, "hypervisor_login_refused")
        assert await customer.get(MACHINES) == before
        await customer.call("PATCH", path, {"password": endpoints["esxi"][0]["password"]})
        await customer.post(f"{path}sync_vms/")


async def test_a_machine_destroyed_behind_our_back_fails_its_backup_and_no_other(second: House, tmp_path: Path) -> None:
    async with second.browser() as customer:
        with a_host(tmp_path / "host", "kept:16m:2m", "gone:16m:2m") as host:
            server = await customer.post(SERVERS, server_body(host), expect=201)
            await customer.post(f"{SERVERS}{server['id']}/sync_vms/")
            found = (await customer.get(MACHINES, server_id=server["id"]))["results"]
            machines = {machine["name"]: machine for machine in found}
            wanted = {"name": "Les deux", "server_id": server["id"], "vm_ids": [one["id"] for one in found]}
            configuration = await customer.post(CONFIGURATIONS, wanted, expect=201)
            _destroy(host, "gone")
            job = await customer.post(JOBS, {"configuration_id": configuration["id"]}, expect=202)
            done = await ended(customer, f"{JOBS}{job['id']}/")
            tasks = {task["vm_id"]: task for task in done["tasks"]}
            lost, saved = tasks[machines["gone"]["id"]], tasks[machines["kept"]["id"]]
            assert (lost["status"], lost["error"]["code"]) == ("failed", "vm_not_found")
            assert "Synchronisez" in lost["error"]["detail"]
            assert lost["restore_point_id"] is None
            assert saved["status"] == "completed", saved
            points = (await customer.get("/api/restore-points/", vm_id=machines["gone"]["id"]))["results"]
            assert points == []
            await customer.post(f"{SERVERS}{server['id']}/sync_vms/")
            assert not (await customer.get(f"{MACHINES}{machines['gone']['id']}/"))["present"]
            async with unchanged(customer):
                wish = {"vm_id": machines["gone"]["id"]}
                await refused(customer, "POST", JOBS, 404, "virtual_machine_not_found", json=wish)
                power = f"{MACHINES}{machines['gone']['id']}/power/"
                await refused(customer, "POST", power, 404, "vm_not_found", json={"action": "off"})
                await refused(customer, "DELETE", f"{SERVERS}{server['id']}/", 409, "esxi_server_in_use")


def _destroy(host: JSON, name: str) -> None:
    """Destroy a machine as the customer's own vSphere client would."""
    session = SmartConnect(
        host=host["host"],
        port=host["port"],
        user=host["username"],
        pwd=host["password"],
        disableSslCertValidation=True,
    )
    try:
        machines = session.content.rootFolder.childEntity[0].vmFolder.childEntity
        machine = next(one for one in machines if one.name == name)
        if machine.runtime.powerState == "poweredOn":
            machine.PowerOff()
        task = machine.Destroy()
        deadline = time.monotonic() + 20
        while task.info.state not in {"success", "error"}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert task.info.state == "success", task.info.error
    finally:
        Disconnect(session)


@pytest.mark.invariant("D12")
async def test_a_full_vault_fails_the_backup_and_the_next_one_misses_nothing(first: House, endpoints) -> None:
    if "vaults" not in endpoints:
        pytest.skip("filling the vault needs a file system of its own, which only root can mount")
    ballast = Path(endpoints["vaults"], "ballast")
    control = EsxiControl(endpoints["esxi"][0]["control"])
    async with first.browser() as customer:
        points = await customer.get("/api/restore-points/")
        machine = await customer.get(f"{MACHINES}{first.ids['vm_id']}/")
        await control.write(machine["moid"], 0.2, seed=5)
        _fill(ballast)
        try:
            job = await customer.post(JOBS, {"vm_id": machine["id"]}, expect=202)
            task = (await ended(customer, f"{JOBS}{job['id']}/"))["tasks"][0]
        finally:
            ballast.unlink()
        assert (task["status"], task["error"]["code"]) == ("failed", "store_full")
        assert "Libérez de l'espace" in task["error"]["detail"]
        assert task["restore_point_id"] is None
        assert await customer.get("/api/restore-points/") == points
        again = await customer.post(JOBS, {"vm_id": machine["id"]}, expect=202)
        done = await ended(customer, f"{JOBS}{again['id']}/")
        task = done["tasks"][0]
        assert (done["status"], task["mode"]) == ("completed", "incremental"), done
        restore = await customer.post("/api/restore/disk/", {"restore_point_id": task["restore_point_id"]}, expect=202)
        disk = (await ended(customer, f"/api/restore/jobs/{restore['id']}/"))["disks"][0]
        assert disk["sha256"] == await control.recorded(task["id"], disk["key"])


def _fill(ballast: Path) -> None:
    """Take every byte that is left on the file system."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * (1 << 20))


@pytest.mark.invariant("S39")
async def test_concurrent_creations_end_with_exactly_the_plans_number(second: House) -> None:
    async with second.browser() as customer:
        held = {server["id"] for server in (await customer.get(SERVERS))["results"]}

        keys = [str(uuid7()) for _ in range(60)]

        async def create(number: int) -> Any:
            body = {"hostname": f"esxi-{number}.invalid", "username": "root", "password": "secret"}
            return await customer.http.post(SERVERS, json=body, headers={"idempotency-key": keys[number]}, timeout=60)

        answers = await asyncio.gather(*(answered(partial(create, number)) for number in range(len(keys))))
        now = {server["id"] for server in (await customer.get(SERVERS))["results"]}
        assert len(now) == BRONZE_SERVERS
        made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
        assert made == now - held
        assert {a.json()["code"] for a in answers if a.status_code != 201} == {"quota_reached"}
        async with unchanged(customer):
            body = {"hostname": "esxi-99.invalid", "username": "root", "password": "secret"}
            problem = await refused(customer, "POST", SERVERS, 403, "quota_reached", json=body)
        expected = {"resource": "esxi_servers", "limit": BRONZE_SERVERS, "current": BRONZE_SERVERS}
        assert {name: problem[name] for name in expected} == expected
        assert re.fullmatch(r"Limite de .* atteinte\. Veuillez mettre à niveau votre plan\.", problem["detail"])
        for server_id in made:
            await customer.call("DELETE", f"{SERVERS}{server_id}/", expect=204)
