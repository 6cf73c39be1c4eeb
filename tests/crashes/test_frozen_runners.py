"""A runner that stands still for two leases, while another finishes its task, and then goes on: it changes nothing.

What counts is what the host was asked, what lies in the store and what the database says, before and after.
"""

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from common.crash_points import Deed
from devstack.stack import Stack

from tests.crashes.fleet import Fleet, fleet_of
from tests.crashes.stillness import changed, everything, gave_up
from tests.crashes.wrecks import doomed, halted, relieve

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]

BACKUPS = (
    "backup-engine.task.claimed",
    "backup-engine.host.connected",
    "backup-engine.snapshot.intended",
    "backup-engine.snapshot.asked",
    "backup-engine.snapshot.created",
    "backup-engine.disk.leased",
    "backup-engine.objects.durable",
    "backup-engine.objects.registered",
    "backup-engine.point.sealed",
    "backup-engine.point.prepared",
    "backup-engine.manifest.written",
)
REMOVALS = ("backup-engine.removal.begun", "backup-engine.removal.intended", "backup-engine.removal.asked")
RESTORES = (
    "backup-engine.restore.begun",
    "backup-engine.restore.machine_made",
    "backup-engine.restore.partly_written",
    "backup-engine.restore.machine_complete",
)
TWO_LEASES = 60.0


async def _goes_on_in_vain(fleet: Fleet, names: Mapping[str, str], stopped: float) -> None:
    """Let those that stand still go on, two leases after they stopped: all stays as it is then."""
    await fleet.no_snapshots_but(seconds=240)
    await fleet.idle(seconds=120)
    await asyncio.sleep(max(0.0, stopped + TWO_LEASES - time.monotonic()))
    before = await everything(fleet)
    for name in names.values():
        fleet.stack.send(name, signal.SIGCONT)
    await asyncio.gather(*(gave_up(fleet.stack, name) for name in names.values()))
    assert not changed(before, await everything(fleet))


@pytest.mark.invariant("D65", "D73")
@pytest.mark.parametrize(
    "points",
    [
        pytest.param(BACKUPS, id="backing-up"),
        pytest.param(REMOVALS, id="removing"),
    ],
)
async def test_a_runner_that_goes_on_after_another_finished_its_backup_changes_nothing(
    stack: Stack, tmp_path: Path, points: Sequence[str]
) -> None:
    async with fleet_of(stack, tmp_path, len(points)) as fleet:
        await fleet.back_up_all()
        await fleet.idle(seconds=120)
        for number, machine in enumerate(fleet.machines):
            await fleet.sim.write(machine["moid"], 0.3, seed=number)
        async with doomed(stack, dict.fromkeys(points, Deed.STOP)) as names:
            jobs = [await fleet.request(machine) for machine in fleet.machines]
            await halted(stack, names)
            stopped = time.monotonic()
            for machine in fleet.machines:
                await fleet.write_little(machine)
            await relieve(stack)
            await fleet.completed(jobs)
            await _goes_on_in_vain(fleet, names, stopped)
        for machine in fleet.machines:
            points_made = await fleet.points(machine)
            assert len(points_made) == 2
            for point in points_made:
                assert await fleet.restores(point)


@pytest.mark.invariant("D65", "D73")
async def test_a_runner_that_goes_on_after_another_finished_its_restore_changes_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    async with fleet_of(stack, tmp_path, 1) as fleet:
        await fleet.back_up_all()
        await fleet.idle(seconds=120)
        [point] = await fleet.points(fleet.machines[0])
        async with doomed(stack, dict.fromkeys(RESTORES, Deed.STOP)) as names:
            wanted = {"restore_point_id": point["id"], "server_id": fleet.server}
            jobs = [
                await fleet.customer.post("/api/restore/vm/", wanted | {"name": f"back-{number}"}, expect=202)
                for number in range(len(RESTORES))
            ]
            await halted(stack, names)
            stopped = time.monotonic()
            await relieve(stack)
            await fleet.completed(jobs, "/api/restore/jobs/{id}/")
            await _goes_on_in_vain(fleet, names, stopped)
        held = sorted((await fleet.recorded(point)).values())
        there = (await fleet.sim.ask("/_sim/vms"))["results"]
        back = [vm for vm in there if vm["name"].startswith("back-")]
        assert sorted(vm["name"] for vm in back) == [f"back-{number}" for number in range(len(RESTORES))]
        for vm in back:
            assert sorted([await fleet.sim.sha256(vm["moid"], disk["key"]) for disk in vm["disks"]]) == held
