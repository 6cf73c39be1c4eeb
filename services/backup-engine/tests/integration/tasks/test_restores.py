"""Restores that die, are cancelled or refused: no half machine stays on the host."""

import time
from typing import Any
from uuid import UUID

import pytest
from backup_engine.runner.attempt import Attempt
from backup_engine.runner.part import WORK
from backup_engine.runner.tools import RunnerTools
from backup_engine.testing.crashes import CrashingControl
from backup_engine.testing.lab import Lab
from backup_engine.testing.rows import query
from common.testing import eventually


async def a_point(lab: Lab) -> dict[str, Any]:
    machine = await lab.machine("web")
    async with lab.engine.running():
        point = await lab.point(await lab.back_up(machine["id"]))
        await lab.idle()
    return point


async def names(lab: Lab) -> list[str]:
    return sorted(vm["name"] for vm in (await lab.sim.get("/_sim/vms")).json()["results"])


async def asked(lab: Lab, point: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"restore_point_id": point["id"], "server_id": lab.server_id, "name": "copy", **more}
    job: dict[str, Any] = await lab.post("/api/restore/vm/", body)
    return job


@pytest.mark.invariant("D73")
@pytest.mark.parametrize("step", ["host_access", "prepare", "prepare:after", "restored"])
async def test_a_restore_whose_runner_died_is_made_anew_and_leaves_one_machine(lab: Lab, step: str) -> None:
    point = await a_point(lab)
    job = await asked(lab, point)
    await lab.engine.dispatcher.admit()
    task_id, built = UUID(job["tasks"][0]["id"]), lab.engine.built
    claim = await built.control_plane().claim(task_id, "cloud", "test")
    assert claim is not None
    tools = RunnerTools(CrashingControl(built.control_plane(), step), built.connector, built.blobs, built.kms)
    attempt = Attempt(tools, claim, time.monotonic())
    await attempt.run(WORK[type(claim.order)])
    for sql in (
        "update tasks set lease_until = clock_timestamp() - interval '3 minutes' where id = :id",
        "update tasks set not_before = null where id = :id",
    ):
        await query(lab.engine, lab.tenant_id, sql, id=task_id)
        await lab.engine.dispatcher.take_back()
    await query(lab.engine, lab.tenant_id, "update tasks set not_before = null where id = :id", id=task_id)
    async with lab.engine.running():
        done = await lab.ended(f"/api/restore/jobs/{job['id']}/")
    assert done["status"] == "completed", done
    assert await names(lab) == ["copy", "web"]
    key = point["disks"][0]["key"]
    digest = (await lab.sim.get(f"/_sim/vms/{done['moid']}/disks/{key}/sha256")).json()["sha256"]
    assert digest == (await lab.recorded(point))[key]


@pytest.mark.invariant("D34")
async def test_an_upload_that_the_host_cuts_is_begun_again_within_the_attempt(lab: Lab) -> None:
    point = await a_point(lab)
    await lab.faults({"match": "/nfc/*", "action": "cut", "after_bytes": 1 << 20, "times": 1})
    async with lab.engine.running():
        done = await lab.ended(f"/api/restore/jobs/{(await asked(lab, point))['id']}/")
    task = done["tasks"][0]
    assert (done["status"], task["attempts"], task["progress_percent"]) == ("completed", 1, 100), done
    assert task["bytes_read"] + task["bytes_skipped"] == task["bytes_total"]
    assert len(await lab.calls("ImportVApp")) == 2
    assert await names(lab) == ["copy", "web"]
    key = point["disks"][0]["key"]
    digest = (await lab.sim.get(f"/_sim/vms/{done['moid']}/disks/{key}/sha256")).json()["sha256"]
    assert digest == (await lab.recorded(point))[key]


@pytest.mark.invariant("D59")
async def test_a_cancelled_restore_leaves_no_half_machine(lab: Lab) -> None:
    point = await a_point(lab)
    await lab.faults({"match": "/nfc/*", "action": "rate", "bytes_per_second": 50_000})
    async with lab.engine.running():
        job = await asked(lab, point)

        async def writing() -> bool:
            return (await lab.get(f"/api/restore/jobs/{job['id']}/"))["tasks"][0]["phase"] == "writing"

        await eventually(writing, what="the import is under way", seconds=30)
        await lab.post(f"/api/restore/jobs/{job['id']}/cancel/")
        done = await lab.ended(f"/api/restore/jobs/{job['id']}/", seconds=10)
        assert done["status"] == "cancelled"
        await lab.faults()
    assert await names(lab) == ["web"]


@pytest.mark.invariant("D60")
async def test_a_network_that_the_target_lacks_is_asked_for_and_nothing_stays(lab: Lab) -> None:
    point = await a_point(lab)
    async with lab.engine.running():
        job = await asked(lab, point, networks={"VM Network": "no such network"})
        done = await lab.ended(f"/api/restore/jobs/{job['id']}/")
    assert (done["status"], done["tasks"][0]["error"]["code"]) == ("failed", "placement_not_found"), done
    assert await names(lab) == ["web"]


async def test_power_comes_last_and_only_when_wanted(lab: Lab) -> None:
    point = await a_point(lab)
    async with lab.engine.running():
        off = await lab.ended(f"/api/restore/jobs/{(await asked(lab, point))['id']}/")
        on = await lab.ended(f"/api/restore/jobs/{(await asked(lab, point, name='on', power_on=True))['id']}/")
    states = {vm["moid"]: vm["power_state"] for vm in (await lab.sim.get("/_sim/vms")).json()["results"]}
    assert states[off["moid"]] == "poweredOff"
    assert states[on["moid"]] == "poweredOn"
