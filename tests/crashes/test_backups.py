"""A runner is killed between any two steps of a backup: one point remains that restores, and no snapshot.

The runners of a wave die side by side, each at a point of its own; what became of each is told in tests of their own.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from common.crash_points import Deed
from devstack.customer import JSON
from devstack.stack import Stack

from tests.crashes.fleet import Fleet, fleet_of
from tests.crashes.stillness import but_removals, changed, everything, gave_up
from tests.crashes.wrecks import doomed, halted, relieve

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

TELLING = ("backup-engine.snapshot.created", "backup-engine.objects.registered", "backup-engine.manifest.written")
STOPPED = ("backup-engine.objects.durable", "backup-engine.point.prepared")
"""Where two more runners of the first wave stand still: while it reads, and between prepare and commit."""
BEFORE_READING = (
    "backup-engine.task.taken",
    "backup-engine.task.claimed",
    "backup-engine.backup.begun",
    "backup-engine.host.connected",
    "backup-engine.changes.tracked",
    "backup-engine.snapshot.intended",
    "backup-engine.snapshot.asked",
    "backup-engine.snapshot.recorded",
    "backup-engine.disk.opened",
    "backup-engine.disk.leased",
)
FROM_THE_FIRST_BATCH = (
    "backup-engine.objects.durable",
    "backup-engine.disks.stored",
    "backup-engine.point.sealed",
    "backup-engine.point.prepared",
    "backup-engine.point.committed",
)
REMOVING = (
    "backup-engine.removal.begun",
    "backup-engine.removal.intended",
    "backup-engine.removal.asked",
    "backup-engine.removal.noted",
    "backup-engine.removal.done",
)
WAVES = (TELLING, BEFORE_READING, FROM_THE_FIRST_BATCH, REMOVING)
FOREIGN = "before the update"
"""A snapshot of the customer's own, on each machine of the last wave."""
UNCLAIMED = "backup-engine.task.taken"
CHUNK = 4 << 20
LEASE, GRACE, RECONCILE, SLACK = 30, 60, 15, 60
"""Seconds: two settings of the stack, the product's grace, and the minute that D14 allows beside them."""


def _points(*waves: Sequence[str]) -> list[Any]:
    return [
        pytest.param(point, marks=() if wave is TELLING else pytest.mark.long, id=point)
        for wave in waves
        for point in wave
    ]


every_point = pytest.mark.parametrize("point", _points(*WAVES))


@dataclass
class Wave:
    """What a wave of deaths left behind, by point."""

    fleet: Fleet
    foreign: tuple[str, ...]
    statuses: dict[str, int] = field(default_factory=dict)
    machines: dict[str, JSON] = field(default_factory=dict)
    jobs: dict[str, JSON] = field(default_factory=dict)
    died_at: float = 0.0
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    """What there was before and after the stopped runners went on."""

    def task(self, point: str) -> JSON:
        found: JSON = self.jobs[point]["tasks"][0]
        return found

    async def attempts(self, point: str) -> list[str]:
        """Names of the snapshots that were asked for by the task that met this death, the oldest first."""
        own = f"ebm-devstack-{UUID(self.task(point)['id']).hex}-"
        calls = await self.fleet.calls("CreateSnapshot_Task")
        return [call["args"]["name"] for call in calls if call["args"]["name"].startswith(own)]


async def _met_death(fleet: Fleet, names: dict[str, str], removal: bool) -> dict[str, UUID]:
    """Which machine's task each runner held last, as far as one was claimed, once all are dead or stand still."""
    kind = "remove_snapshot" if removal else "backup"
    pids = {f"-{fleet.stack.processes[name].pid}": point for point, name in names.items()}
    found: dict[str, UUID] = {}
    waiting = asyncio.ensure_future(halted(fleet.stack, names))
    while True:
        last = waiting.done()
        for row in await fleet.rows("SELECT vm_id, runner FROM tasks WHERE kind = $2 AND runner IS NOT NULL", kind):
            point = next((point for pid, point in pids.items() if row["runner"].endswith(pid)), None)
            if point is not None:
                found[point] = row["vm_id"]
        if last:
            waiting.result()
            return found
        await asyncio.sleep(0.5)


async def _wave(stack: Stack, folder: Path, points: Sequence[str], exits: contextlib.AsyncExitStack) -> Wave:
    """Back up, let the machines change, kill one runner at each point, let the stack's own finish what they began."""
    deeds = dict.fromkeys(points, Deed.KILL) | (dict.fromkeys(STOPPED, Deed.STOP) if points is TELLING else {})
    fleet = await exits.enter_async_context(fleet_of(stack, folder, len(deeds)))
    await fleet.back_up_all()
    removing = points is REMOVING
    wave = Wave(fleet, (FOREIGN,) * len(points) if removing else ())
    await fleet.idle(seconds=120)
    for number, machine in enumerate(fleet.machines):
        await fleet.sim.write(machine["moid"], 0.3, seed=number)
    if removing:
        async with fleet.own_session() as host:
            for machine in fleet.machines:
                await host.create_snapshot(machine["moid"], name=FOREIGN, description="", quiesce=False)
    async with doomed(stack, deeds) as names:
        requested = {machine["id"]: await fleet.request(machine) for machine in fleet.machines}
        held = await _met_death(fleet, names, removing)
        wave.died_at = time.monotonic()
        wave.statuses = {point: await stack.dead(names[point]) for point in points}
        left = [machine for machine in fleet.machines if UUID(machine["id"]) not in held.values()]
        for point in deeds:
            vm = held.get(point)
            machine = next((one for one in fleet.machines if vm and UUID(one["id"]) == vm), None) or left.pop()
            wave.machines[point] = machine
            await fleet.write_little(machine)
        await relieve(stack)
        for point in deeds:
            job = requested[wave.machines[point]["id"]]
            wave.jobs[point] = await fleet.ended(f"/api/backup-jobs/{job['id']}/")
        await _let_go_on(wave, [names[point] for point in deeds if point not in points])
    return wave


async def _let_go_on(wave: Wave, stopped: Sequence[str]) -> None:
    """Let those that stand still go on, two leases after they stopped."""
    if not stopped:
        return
    await asyncio.sleep(max(0.0, wave.died_at + 2 * LEASE - time.monotonic()))
    wave.before = but_removals(await everything(wave.fleet))
    for name in stopped:
        wave.fleet.stack.send(name, signal.SIGCONT)
    await asyncio.gather(*(gave_up(wave.fleet.stack, name) for name in stopped))
    wave.after = but_removals(await everything(wave.fleet))


class Waves:
    """The waves that were asked for, each run once."""

    def __init__(self, stack: Stack, folder: Path, exits: contextlib.AsyncExitStack) -> None:
        self._stack, self._folder, self._exits = stack, folder, exits
        self._ran: dict[Sequence[str], Wave] = {}

    async def of(self, point: str) -> Wave:
        points = next(wave for wave in WAVES if point in wave)
        if points not in self._ran:
            self._ran[points] = await _wave(self._stack, self._folder / points[0], points, self._exits)
        return self._ran[points]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def waves(session_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Waves]:
    async with contextlib.AsyncExitStack() as exits:
        yield Waves(session_stack, tmp_path_factory.mktemp("backups"), exits)


@every_point
async def test_the_runner_died_of_sigkill_there_and_another_completed_the_backup(waves: Waves, point: str) -> None:
    wave = await waves.of(point)
    assert wave.statuses[point] == -signal.SIGKILL
    assert wave.jobs[point]["status"] == "completed", wave.jobs[point]


@pytest.mark.invariant("D65", "D73")
async def test_a_runner_that_goes_on_after_another_finished_its_backup_changes_nothing(waves: Waves) -> None:
    wave = await waves.of(TELLING[0])
    assert wave.before["store"]
    assert not changed(wave.before, wave.after)
    for point in STOPPED:
        [_, made] = await wave.fleet.points(wave.machines[point])
        assert await wave.fleet.restores(made)


@every_point
@pytest.mark.invariant("D43", "D64")
async def test_the_backup_makes_exactly_one_point(waves: Waves, point: str) -> None:
    wave = await waves.of(point)
    before, made = await wave.fleet.points(wave.machines[point])
    assert made["id"] == wave.task(point)["restore_point_id"]
    assert made["parent_point_id"] == before["id"]


@every_point
@pytest.mark.invariant("D64")
async def test_no_attempt_asks_for_a_snapshot_twice(waves: Waves, point: str) -> None:
    wave = await waves.of(point)
    names = await wave.attempts(point)
    assert len(set(names)) == len(names) <= wave.task(point)["attempts"]


@every_point
@pytest.mark.invariant("D14", "S51")
async def test_every_point_restores_what_the_machine_held_at_its_own_snapshot(waves: Waves, point: str) -> None:
    wave = await waves.of(point)
    for made in await wave.fleet.points(wave.machines[point]):
        assert await wave.fleet.restores(made), made


@pytest.mark.parametrize("point", _points(TELLING, BEFORE_READING, FROM_THE_FIRST_BATCH))
@pytest.mark.invariant("D12")
async def test_the_attempt_that_completes_reads_what_changed_since_the_committed_point(
    waves: Waves, point: str
) -> None:
    wave = await waves.of(point)
    before, made = await wave.fleet.points(wave.machines[point])
    assert (made["mode"], made["parent_point_id"]) == ("incremental", before["id"])


@pytest.mark.long
@pytest.mark.parametrize("point", FROM_THE_FIRST_BATCH[1:4])
async def test_chunks_that_the_dead_attempt_stored_are_not_stored_again(waves: Waves, point: str) -> None:
    """Both disks were stored then; what the guest wrote meanwhile is one chunk."""
    wave = await waves.of(point)
    [_before, made] = await wave.fleet.points(wave.machines[point])
    [row] = await wave.fleet.rows("SELECT token FROM restore_points WHERE id = $2", UUID(made["id"]))
    assert row["token"] == 2
    assert made["disks"][0]["bytes_new"] <= CHUNK
    assert made["bytes_new"] <= CHUNK


@pytest.mark.parametrize("point", _points(("backup-engine.manifest.written",)))
async def test_a_manifest_that_stands_is_adopted_and_the_machine_left_alone(waves: Waves, point: str) -> None:
    wave = await waves.of(point)
    assert len(await wave.attempts(point)) == 1
    assert wave.task(point)["attempts"] == 2


@pytest.mark.long
@pytest.mark.parametrize("points", WAVES, ids=["telling", "before", "batches", "removing"])
@pytest.mark.invariant("D14")
async def test_our_snapshots_go_in_time_and_nobody_elses(waves: Waves, points: Sequence[str]) -> None:
    wave = await waves.of(points[0])
    left = wave.died_at + LEASE + GRACE + RECONCILE + SLACK - time.monotonic()
    await wave.fleet.no_snapshots_but(*wave.foreign, seconds=max(left, 10))
    await wave.fleet.idle(seconds=60)


@pytest.mark.long
@pytest.mark.invariant("D15")
async def test_a_removal_whose_runner_died_is_sent_once(waves: Waves) -> None:
    wave = await waves.of(REMOVING[0])
    await wave.fleet.no_snapshots_but(*wave.foreign, seconds=LEASE + GRACE + RECONCILE + SLACK)
    await wave.fleet.idle(seconds=60)
    sent = [call["target"] for call in await wave.fleet.calls("RemoveSnapshot_Task")]
    assert len(sent) == len(set(sent)), sent


@pytest.mark.long
@pytest.mark.invariant("D12")
async def test_the_next_backup_after_a_death_is_incremental_to_the_point_that_was_made(waves: Waves) -> None:
    wave = await waves.of(TELLING[0])
    await wave.fleet.no_snapshots_but(seconds=LEASE + GRACE + RECONCILE + SLACK)
    await wave.fleet.back_up_all()
    for machine in wave.fleet.machines:
        *_, made, following = await wave.fleet.points(machine)
        assert (following["mode"], following["parent_point_id"]) == ("incremental", made["id"])
        assert following["bytes_new"] == 0
        assert await wave.fleet.restores(following)
