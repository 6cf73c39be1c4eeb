"""A runner is told to end while it backs up, and is killed before or after it hands its task back."""

import signal
from pathlib import Path
from typing import Any

import pytest
from common.crash_points import Deed
from devstack.customer import JSON, until
from devstack.stack import Stack

from tests.crashes.fleet import Fleet, fleet_of
from tests.crashes.wrecks import died, doomed, relieve

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

POINTS = ("backup-engine.attempt.interrupted", "backup-engine.attempt.handed_back")
CRAWL = [{"match": "/nfc/*", "action": "rate", "bytes_per_second": 64 << 10}]
"""A machine of 16 MiB takes four minutes: nothing ends before the signal comes."""


async def _behave(fleet: Fleet, rules: list[dict[str, Any]]) -> None:
    async with fleet.sim.client() as http:
        (await http.put("/_sim/faults", json=rules)).raise_for_status()


async def _all_read(fleet: Fleet) -> None:
    """Wait until every machine is being read."""

    async def leases() -> JSON:
        return {"leases": (await fleet.sim.ask("/_sim/leases"))["results"]}

    def reading(found: JSON) -> bool:
        begun = [one for one in found["leases"] if one["state"] == "ready" and one["streamed_bytes"]]
        return len(begun) == len(fleet.machines)

    await until(leases, reading, seconds=120)


@pytest.mark.invariant("D43", "D64")
async def test_a_backup_whose_runner_died_while_handing_it_back_is_made_once(stack: Stack, tmp_path: Path) -> None:
    async with fleet_of(stack, tmp_path, len(POINTS)) as fleet:
        await _behave(fleet, CRAWL)
        async with doomed(stack, dict.fromkeys(POINTS, Deed.KILL)) as names:
            jobs = [await fleet.request(machine) for machine in fleet.machines]
            await _all_read(fleet)
            for name in names.values():
                stack.send(name, signal.SIGTERM)
            assert set((await died(stack, names)).values()) == {-signal.SIGKILL}
            await _behave(fleet, [])
            await relieve(stack)
            done = await fleet.completed(jobs)
        assert [job["tasks"][0]["attempts"] for job in done] == [2, 2]
        for machine in fleet.machines:
            [point] = await fleet.points(machine)
            assert await fleet.restores(point)
        await fleet.no_snapshots_but(seconds=240)
