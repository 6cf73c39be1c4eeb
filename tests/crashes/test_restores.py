"""A runner is killed between any two steps of a restore: one machine is there in the end, whole, and no half one."""

import asyncio
import hashlib
import signal
from pathlib import Path
from uuid import UUID

import pytest
from common.crash_points import Deed
from devstack.customer import JSON
from devstack.stack import Stack

from tests.crashes.fleet import Fleet, fleet_of
from tests.crashes.wrecks import died, doomed, relieve

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

MACHINES = (
    "backup-engine.restore.begun",
    "backup-engine.restore.machine_made",
    "backup-engine.restore.partly_written",
    "backup-engine.restore.disks_written",
    "backup-engine.restore.machine_complete",
    "backup-engine.restore.prepared",
    "backup-engine.restore.powered",
)
EXPORTS = (
    "backup-engine.restore.disks_read",
    "backup-engine.restore.export_prepared",
    "backup-engine.restore.files_named",
)
JOB = "/api/restore/jobs/{id}/"


async def _backed_up(fleet: Fleet) -> JSON:
    await fleet.back_up_all()
    await fleet.idle(seconds=120)
    [point] = await fleet.points(fleet.machines[0])
    return point


@pytest.mark.invariant("S51", "D59")
async def test_a_machine_is_restored_once_and_whole_wherever_the_runner_died(stack: Stack, tmp_path: Path) -> None:
    async with fleet_of(stack, tmp_path, 1) as fleet:
        point = await _backed_up(fleet)
        held = sorted((await fleet.recorded(point)).values())
        async with doomed(stack, dict.fromkeys(MACHINES, Deed.KILL)) as names:
            wanted = {"restore_point_id": point["id"], "server_id": fleet.server, "power_on": True}
            jobs = [
                await fleet.customer.post("/api/restore/vm/", wanted | {"name": f"back-{number}"}, expect=202)
                for number in range(len(MACHINES))
            ]
            statuses = await died(stack, names)
            assert set(statuses.values()) == {-signal.SIGKILL}
            await relieve(stack)
            done = await fleet.completed(jobs, JOB)
        there = (await fleet.sim.ask("/_sim/vms"))["results"]
        back = sorted((vm for vm in there if vm["name"].startswith("back-")), key=lambda vm: str(vm["name"]))
        assert [vm["name"] for vm in back] == [f"back-{number}" for number in range(len(MACHINES))]
        assert len(there) == 1 + len(back)
        assert {vm["power_state"] for vm in back} == {"poweredOn"}
        for vm in back:
            assert sorted([await fleet.sim.sha256(vm["moid"], disk["key"]) for disk in vm["disks"]]) == held, vm["name"]
        leases = (await fleet.sim.ask("/_sim/leases"))["results"]
        assert not [lease for lease in leases if lease["state"] in ("initializing", "ready")]
        assert all(job["tasks"][0]["attempts"] == 2 for job in done), done


@pytest.mark.invariant("S51")
async def test_an_export_is_whole_or_absent_wherever_the_runner_died(stack: Stack, tmp_path: Path) -> None:
    async with fleet_of(stack, tmp_path, 1) as fleet:
        point = await _backed_up(fleet)
        held = await fleet.recorded(point)
        exports = Path(stack.environment["BACKUP_ENGINE_EXPORT_FOLDER"]) / str(fleet.tenant)
        async with doomed(stack, dict.fromkeys(EXPORTS, Deed.KILL)) as names:
            wanted = {"restore_point_id": point["id"], "export": True}
            jobs = [await fleet.customer.post("/api/restore/disk/", wanted, expect=202) for _ in EXPORTS]
            assert set((await died(stack, names)).values()) == {-signal.SIGKILL}
            await relieve(stack)
            await fleet.completed(jobs, JOB)
        tasks = await fleet.rows("SELECT id FROM tasks WHERE kind = 'restore'")
        assert {UUID(folder.name) for folder in exports.iterdir()} == {row["id"] for row in tasks}
        for folder in exports.iterdir():
            files = {path.name: hashlib.sha256(await asyncio.to_thread(path.read_bytes)) for path in folder.iterdir()}
            found = {name: digest.hexdigest() for name, digest in files.items()}
            assert found == {f"disk-{key}.raw": digest for key, digest in held.items()}
