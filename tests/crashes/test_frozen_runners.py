"""A runner that stands still for two leases, while another finishes its task, and then goes on: it changes nothing.

What counts is what the host was asked, what lies in the store and what the database says, before and after.
"""

import asyncio
import hashlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from common.crash_points import Deed
from devstack.customer import JSON
from devstack.fleet import Fleet, fleet_of
from devstack.servers.processes import wait_until
from devstack.stack import Stack
from devstack.wrecks import doomed, leave, relieve, stand_still

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
TABLES = ("tasks", "backup_jobs", "restore_points", "point_disks", "snapshot_ledger", "chunks", "virtual_machines")
ASKING_NOTHING = frozenset(
    {
        "RetrieveContent",
        "RetrievePropertiesEx",
        "ContinueRetrievePropertiesEx",
        "CreateContainerView",
        "DestroyView",
        "Login",
        "Logout",
    }
)
"""Calls that change nothing but the caller's own session."""


def _store(folder: Path) -> dict[str, str]:
    """Every object of every vault with its hash."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


async def _database(fleet: Fleet) -> dict[str, Any]:
    """Every row that the customer's backups have."""
    rows = {}
    for table in TABLES:
        query = f"SELECT t::text AS row FROM {table} AS t WHERE t.tenant_id = $1 ORDER BY 1"
        rows[table] = [found["row"] for found in await fleet.rows(query)]
    return rows


async def _asked(fleet: Fleet) -> list[JSON]:
    return [call for call in await fleet.calls() if call["name"] not in ASKING_NOTHING]


async def _all(fleet: Fleet) -> dict[str, Any]:
    vaults = Path(fleet.stack.environment["BACKUP_ENGINE_OBJECT_STORE_FOLDER"])
    return {
        "host": await _asked(fleet),
        "store": await asyncio.to_thread(_store, vaults),
        "database": await _database(fleet),
    }


async def _gave_up(stack: Stack, name: str) -> None:
    """Wait until the runner has said that its attempt is over; it then ends as any other does."""
    log = Path(stack.processes[name].log)
    said = await asyncio.to_thread(wait_until, lambda: "stopped: " in log.read_text(errors="replace"), 90)
    assert said, stack.processes[name].last_words
    await leave(stack, name)


@pytest.mark.invariant("D65", "D73")
@pytest.mark.parametrize("points", [BACKUPS, REMOVALS], ids=["backing-up", "removing"])
async def test_a_runner_that_goes_on_after_another_finished_its_backup_changes_nothing(
    stack: Stack, tmp_path: Path, points: Sequence[str]
) -> None:
    async with fleet_of(stack, tmp_path, len(points)) as fleet:
        await fleet.back_up_all()
        await fleet.idle(seconds=120)
        for number, machine in enumerate(fleet.machines):
            await fleet.sim.write(machine["moid"], 0.3, seed=number)
        async with doomed(stack, points, Deed.STOP) as names:
            jobs = [await fleet.request(machine) for machine in fleet.machines]
            await stand_still(stack, names)
            stopped = asyncio.get_running_loop().time()
            for machine in fleet.machines:
                await fleet.write_little(machine)
            await relieve(stack)
            await fleet.completed(jobs)
            await fleet.no_snapshots_but(seconds=240)
            await fleet.idle(seconds=120)
            await asyncio.sleep(max(0.0, stopped + TWO_LEASES - asyncio.get_running_loop().time()))
            before = await _all(fleet)
            for name in names.values():
                stack.send(name, signal.SIGCONT)
            await asyncio.gather(*(_gave_up(stack, name) for name in names.values()))
            assert await _all(fleet) == before
        for machine in fleet.machines:
            points_made = await fleet.points(machine)
            assert len(points_made) == 2
            for point in points_made:
                assert await fleet.restores(point)
