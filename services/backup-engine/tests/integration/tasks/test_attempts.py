"""Attempts that die, are overtaken, cancelled or handed back: one point at the end, and no snapshot that stays."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from backup_engine.adapters.sql_control_plane import SqlControlPlane
from backup_engine.domain.job import TaskStatus
from backup_engine.domain.lease import SHORTEST_LEASE
from backup_engine.errors import StaleToken
from backup_engine.ports.control_plane import Claim, Progress
from backup_engine.runner.attempt import Attempt
from backup_engine.runner.part import WORK
from backup_engine.runner.tools import RunnerTools
from backup_engine.testing.crashes import CrashingControl, FullStore
from backup_engine.testing.lab import Lab
from backup_engine.testing.rows import query
from backup_engine.vault.manifest import list_points
from common.testing import eventually


async def ready_task(lab: Lab) -> UUID:
    """A backup of the lab's machine that a runner may claim."""
    machine = await lab.machine("web")
    job = await lab.post("/api/backup-jobs/", {"vm_id": machine["id"]})
    await lab.engine.dispatcher.admit()
    return UUID(job["tasks"][0]["id"])


async def claimed(lab: Lab, task_id: UUID) -> Claim:
    claim = await lab.engine.built.control_plane().claim(task_id, "cloud", "test")
    assert claim is not None
    return claim


async def expire(lab: Lab, task_id: UUID) -> None:
    """Let the task's lease be over for three minutes, so that its attempt's snapshot may go too."""
    await query(
        lab.engine,
        lab.tenant_id,
        "update tasks set lease_until = clock_timestamp() - interval '3 minutes' where id = :id",
        id=task_id,
    )
    await lab.engine.dispatcher.take_back()
    await query(lab.engine, lab.tenant_id, "update tasks set not_before = null where id = :id", id=task_id)


async def task_row(lab: Lab, task_id: UUID) -> Any:
    async with lab.engine.built.store.for_tenant(lab.tenant_id) as uow:
        return await uow.tasks.find(task_id)


async def attempt(lab: Lab, claim: Claim, control: Any = None, blobs: Any = None) -> None:
    built = lab.engine.built
    tools = RunnerTools(control or built.control_plane(), built.connector, blobs or built.blobs, built.kms)
    await Attempt(tools, claim, time.monotonic()).run(WORK[type(claim.order)])


async def finish(lab: Lab, task_id: UUID) -> dict[str, Any]:
    """Let dispatcher and runner end the task; the job as the customer sees it."""
    row = await task_row(lab, task_id)
    async with lab.engine.running():
        return await lab.ended(f"/api/backup-jobs/{row.job_id}/")


@pytest.mark.invariant("D64")
async def test_a_message_that_comes_twice_makes_one_snapshot_and_one_point(lab: Lab) -> None:
    machine = await lab.machine("web")
    task_id = await ready_task(lab)
    for _ in range(3):
        await lab.engine.broker.send_task("tasks.cloud", str(task_id))
    job = await finish(lab, task_id)
    assert job["status"] == "completed"
    assert len(await lab.calls("CreateSnapshot_Task")) == 1
    assert len((await lab.get("/api/restore-points/", vm_id=machine["id"]))["results"]) == 1
    assert job["tasks"][0]["attempts"] == 1


@pytest.mark.invariant("D64")
async def test_of_many_runners_that_claim_at_once_one_gets_the_task(lab: Lab) -> None:
    task_id = await ready_task(lab)
    control = lab.engine.built.control_plane()
    claims = await asyncio.gather(*(control.claim(task_id, "cloud", f"runner-{n}") for n in range(8)))
    assert len([claim for claim in claims if claim is not None]) == 1


async def test_a_runner_of_another_site_does_not_get_the_task(lab: Lab) -> None:
    task_id = await ready_task(lab)
    assert await lab.engine.built.control_plane().claim(task_id, "elsewhere", "runner") is None


@pytest.mark.invariant("D65", "D73")
async def test_the_token_of_an_attempt_that_was_overtaken_is_refused_everywhere(lab: Lab) -> None:
    task_id = await ready_task(lab)
    old = await claimed(lab, task_id)
    await expire(lab, task_id)
    await lab.engine.dispatcher.admit()
    new = await claimed(lab, task_id)
    assert new.grant.token == old.grant.token + 1
    control = lab.engine.built.control_plane()
    for refused in (
        control.renew(old.grant, Progress()),
        control.known_chunks(old.grant, [bytes(32)]),
        control.host_access(old.grant, old.server_id),
        control.intend_snapshot(old.grant, f"ebm-test-{task_id.hex}-{old.grant.token}"),
        control.prepare(old.grant, None),
        control.commit(old.grant),
        control.restored(old.grant, Progress(), {}, []),
        control.fail(old.grant, {"code": "x", "fr": "", "en": "", "fields": {}}, retry=False),
        control.hand_back(old.grant),
    ):
        with pytest.raises(StaleToken):
            await refused
    assert (await control.renew(new.grant, Progress())).stop is None


@pytest.mark.invariant("D65")
async def test_a_lease_that_is_over_is_refused_even_before_anyone_else_claims(lab: Lab) -> None:
    task_id = await ready_task(lab)
    claim = await claimed(lab, task_id)
    sql = "update tasks set lease_until = clock_timestamp() - interval '1 second' where id = :id"
    await query(lab.engine, lab.tenant_id, sql, id=task_id)
    with pytest.raises(StaleToken):
        await lab.engine.built.control_plane().prepare(claim.grant, None)


async def test_a_claim_holds_for_the_lease_that_is_set(lab: Lab) -> None:
    task_id = await ready_task(lab)
    built = lab.engine.built
    control = SqlControlPlane(built.store, built.box, "test", lease=SHORTEST_LEASE)
    claim = await control.claim(task_id, "cloud", "test")
    assert claim is not None
    assert claim.grant.lease == SHORTEST_LEASE
    sql = "select lease_until - started_at as held from tasks where id = :id"
    held = (await query(lab.engine, lab.tenant_id, sql, id=task_id))[0].held
    assert abs(held - SHORTEST_LEASE) < timedelta(seconds=1)


STEPS = [
    "host_access",
    "intend_snapshot",
    "snapshot_created",
    "known_chunks",
    "stored_chunks",
    "prepare",
    "prepare:after",
    "commit",
    "commit:after",
]


@pytest.mark.invariant("D14", "D43", "S51")
@pytest.mark.parametrize("step", STEPS)
async def test_a_runner_that_dies_at_any_step_leaves_one_point_and_no_snapshot(lab: Lab, step: str) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        await lab.back_up(machine["id"])
        await lab.idle()
    await lab.write(machine["moid"], 0.05, 3)
    task_id = await ready_task(lab)
    crashing = CrashingControl(lab.engine.built.control_plane(), step)
    await attempt(lab, await claimed(lab, task_id), crashing)
    assert crashing.crashed
    points = (await lab.get("/api/restore-points/", vm_id=machine["id"]))["results"]
    assert len(points) == (2 if step == "commit:after" else 1)
    if step != "commit:after":
        await expire(lab, task_id)
    job = await finish(lab, task_id)
    assert job["status"] == "completed", job
    points = (await lab.get("/api/restore-points/", vm_id=machine["id"]))["results"]
    assert [point["mode"] for point in points] == ["full", "incremental"]
    assert points[1]["parent_point_id"] == points[0]["id"]
    await _restores(lab, points[1])
    async with lab.engine.running():
        await lab.idle()
    assert await lab.snapshots(machine["moid"]) == []


@pytest.mark.invariant("D12")
@pytest.mark.parametrize("step", ["known_chunks", "stored_chunks"])
async def test_what_a_dead_attempt_was_to_read_is_read_by_the_next_one(lab: Lab, step: str) -> None:
    machine = await lab.machine("web")
    async with lab.engine.running():
        await lab.back_up(machine["id"])
        await lab.idle()
    await lab.write(machine["moid"], 0.05, 3)
    # Only what the host calls changed is read where disks are read at random; a lease gives everything.
    (await lab.sim.post(f"/_sim/vms/{machine['moid']}/power", json={"state": "off"})).raise_for_status()
    task_id = await ready_task(lab)
    await attempt(lab, await claimed(lab, task_id), CrashingControl(lab.engine.built.control_plane(), step))
    await expire(lab, task_id)
    job = await finish(lab, task_id)
    assert (job["tasks"][0]["mode"], job["tasks"][0]["transport"]) == ("incremental", "datastore"), job
    _, made = (await lab.get("/api/restore-points/", vm_id=machine["id"]))["results"]
    await _restores(lab, made)


async def _restores(lab: Lab, point: dict[str, Any]) -> None:
    key = point["disks"][0]["key"]
    async with lab.engine.running():
        made = await lab.post("/api/restore/disk/", {"restore_point_id": point["id"]})
        done = await lab.ended(f"/api/restore/jobs/{made['id']}/")
    assert done["status"] == "completed", done
    # The last attempt's snapshot is the one that the point shows; nobody wrote between the attempts.
    assert done["disks"][0]["sha256"] == (await lab.recorded(point))[key]


@pytest.mark.invariant("D14")
async def test_the_ledger_has_a_snapshots_name_before_the_host_is_asked_for_it(lab: Lab) -> None:
    machine = await lab.machine("web")
    task_id = await ready_task(lab)
    crashing = CrashingControl(lab.engine.built.control_plane(), "snapshot_created")
    await attempt(lab, await claimed(lab, task_id), crashing)
    assert crashing.crashed
    rows = await query(lab.engine, lab.tenant_id, "select name from snapshot_ledger where state = 'intended'")
    (on_host,) = await lab.snapshots(machine["moid"])
    assert [row.name for row in rows] == [on_host]


@pytest.mark.invariant("D14")
async def test_the_snapshot_of_a_runner_that_died_goes_although_nobody_tries_again(lab: Lab) -> None:
    machine = await lab.machine("web")
    task_id = await ready_task(lab)
    crashing = CrashingControl(lab.engine.built.control_plane(), "stored_chunks")
    await attempt(lab, await claimed(lab, task_id), crashing)
    assert crashing.crashed
    assert len(await lab.snapshots(machine["moid"])) == 1
    row = await task_row(lab, task_id)
    await lab.post(f"/api/backup-jobs/{row.job_id}/cancel/")
    await expire(lab, task_id)
    async with lab.engine.running():
        await lab.no_snapshots(machine["moid"])
    assert (await task_row(lab, task_id)).status is TaskStatus.CANCELLED


async def test_a_manifest_that_stands_is_adopted_and_the_machine_not_read_again(lab: Lab) -> None:
    task_id = await ready_task(lab)
    claim = await claimed(lab, task_id)
    await attempt(lab, claim, CrashingControl(lab.engine.built.control_plane(), "commit"))
    assert [ref.token for ref in await list_points(lab.engine.built.blobs, claim.vault.vault_id)] == [1]
    await expire(lab, task_id)
    exports = len(await lab.calls("ExportSnapshot"))
    job = await finish(lab, task_id)
    assert job["status"] == "completed"
    assert len(await lab.calls("ExportSnapshot")) == exports
    point = await lab.point(job)
    assert (point["id"], job["tasks"][0]["attempts"]) == (str(task_id), 2)


async def test_a_second_attempt_finds_the_chunks_of_the_first(lab: Lab) -> None:
    task_id = await ready_task(lab)
    await attempt(lab, await claimed(lab, task_id), CrashingControl(lab.engine.built.control_plane(), "prepare"))
    first = await task_row(lab, task_id)
    await expire(lab, task_id)
    job = await finish(lab, task_id)
    assert job["status"] == "completed"
    assert first.status is TaskStatus.RUNNING
    assert (await lab.point(job))["bytes_new"] == 0


@pytest.mark.invariant("D76")
@pytest.mark.parametrize(
    "harm",
    [lambda _: b"", lambda whole: whole[:-1], lambda whole: whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:]],
    ids=["empty", "short", "altered"],
)
async def test_chunks_that_a_dead_attempt_left_damaged_do_not_enter_the_point(
    lab: Lab, harm: Callable[[bytes], bytes]
) -> None:
    task_id = await ready_task(lab)
    claim = await claimed(lab, task_id)
    await attempt(lab, claim, CrashingControl(lab.engine.built.control_plane(), "stored_chunks"))
    chunks = lab.engine.built.settings.object_store_folder / "v1" / str(claim.vault.vault_id) / "chunks"
    left = [path for path in chunks.rglob("*") if path.is_file()]
    assert left
    for path in left:
        path.chmod(0o600)
        path.write_bytes(harm(path.read_bytes()))
    await expire(lab, task_id)
    job = await finish(lab, task_id)
    assert job["status"] == "completed", job
    await _restores(lab, await lab.point(job))


@pytest.mark.invariant("D43")
async def test_objects_of_an_attempt_without_commit_make_no_point(lab: Lab) -> None:
    task_id = await ready_task(lab)
    claim = await claimed(lab, task_id)
    await attempt(lab, claim, CrashingControl(lab.engine.built.control_plane(), "prepare"))
    assert await list_points(lab.engine.built.blobs, claim.vault.vault_id) == []
    assert (await lab.get("/api/restore-points/"))["results"] == []
    assert (await lab.get("/api/backup-chains/"))["results"] == []


async def test_the_third_loss_without_progress_ends_the_task(lab: Lab) -> None:
    task_id = await ready_task(lab)
    for _ in range(3):
        await lab.engine.dispatcher.admit()
        await claimed(lab, task_id)
        await expire(lab, task_id)
    row = await task_row(lab, task_id)
    assert (row.status, row.error["code"]) == (TaskStatus.FAILED, "attempts_exhausted")
    shown = await lab.get(f"/api/backup-jobs/{row.job_id}/")
    assert shown["status"] == "failed"
    assert shown["tasks"][0]["error"]["attempts"] == 3


@pytest.mark.invariant("S50", "S51")
async def test_a_runner_that_is_told_to_stop_hands_back_and_another_finishes(lab: Lab) -> None:
    machine = await lab.machine("web")
    await lab.faults({"match": "/nfc/*", "action": "rate", "bytes_per_second": 200_000})
    task_id = await ready_task(lab)
    async with lab.engine.running():
        await eventually(lambda: _exports(lab), what="the disk is being read")
    row = await task_row(lab, task_id)
    assert (row.status, row.losses) == (TaskStatus.WAITING, 0)
    await lab.faults()
    job = await finish(lab, task_id)
    assert job["status"] == "completed"
    async with lab.engine.running():
        await lab.no_snapshots(machine["moid"])


async def test_a_cancelled_backup_ends_within_ten_seconds_and_leaves_no_snapshot(lab: Lab) -> None:
    machine = await lab.machine("web")
    await lab.faults({"match": "/nfc/*", "action": "rate", "bytes_per_second": 100_000})
    async with lab.engine.running():
        job = await lab.post("/api/backup-jobs/", {"vm_id": machine["id"]})
        await eventually(lambda: _exports(lab), what="the disk is being read")
        await lab.post(f"/api/backup-jobs/{job['id']}/cancel/")
        done = await lab.ended(f"/api/backup-jobs/{job['id']}/", seconds=10)
        assert done["status"] == "cancelled"
        assert done["tasks"][0]["error"]["code"] == "cancelled"
        await lab.faults()
        await lab.no_snapshots(machine["moid"])
    assert (await lab.get("/api/restore-points/"))["results"] == []


async def _exports(lab: Lab) -> bool:
    return bool(await lab.calls("ExportSnapshot")) and any(
        one["name"].startswith("/nfc/") for one in (await lab.sim.get("/_sim/requests")).json()["results"]
    )


@pytest.mark.invariant("D55")
async def test_storage_that_fills_during_a_backup_ends_it_before_commit_with_the_last_point_intact(
    lab_with: Callable[..., Any],
) -> None:
    lab: Lab = await lab_with("web:96m:12m", max_storage_gb=1)
    machine = await lab.machine("web")
    async with lab.engine.running():
        first = await lab.back_up(machine["id"])
        await lab.write(machine["moid"], 0.5, 7)
        await lab.faults({"match": "/nfc/*", "action": "rate", "bytes_per_second": 10_000_000})
        job = await lab.post("/api/backup-jobs/", {"vm_id": machine["id"]})
        # The rest of the plan's gigabyte is taken by other machines' points in the meantime.
        async with lab.engine.built.store.for_tenant(lab.tenant_id) as uow:
            await uow.quota.add_storage(10**9 - await uow.quota.stored_bytes() - 1000)
        failed = await lab.ended(f"/api/backup-jobs/{job['id']}/")
        assert failed["status"] == "failed", failed
        error = failed["tasks"][0]["error"]
        assert (error["code"], error["resource"], error["limit"]) == ("quota_reached", "storage_gb", 1)
        points = (await lab.get("/api/restore-points/"))["results"]
        assert [point["id"] for point in points] == [first["tasks"][0]["restore_point_id"]]
    await _restores(lab, points[0])


async def test_a_vault_whose_disk_is_full_fails_the_task_with_what_to_do(lab: Lab) -> None:
    machine = await lab.machine("web")
    task_id = await ready_task(lab)
    full = FullStore(lab.engine.built.blobs)
    await attempt(lab, await claimed(lab, task_id), blobs=full)
    row = await task_row(lab, task_id)
    shown = await lab.get(f"/api/backup-jobs/{row.job_id}/")
    assert shown["status"] == "failed"
    assert shown["tasks"][0]["error"]["code"] == "store_full"
    assert "Free space" in shown["tasks"][0]["error"]["detail"]
    async with lab.engine.running():
        await lab.no_snapshots(machine["moid"])
