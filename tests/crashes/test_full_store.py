"""The kernel lets a runner write no more: its backup fails for that, and the next one misses nothing.

A limit on the size of files needs no root and no file system of its own; the store answers as a full disk does.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from backup_engine.adapters.folder_store import TEMPORARY
from devstack.stack import Stack

from tests.crashes.fleet import fleet_of
from tests.crashes.wrecks import RUNNER

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(300)]

ROOM = 64 << 10
"""Bytes of one file: enough for keys, maps and the runner's log, not for a chunk of a machine."""


@contextmanager
def _no_room(stack: Stack) -> Iterator[None]:
    pid = stack.processes[RUNNER].pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.invariant("D12")
async def test_a_store_without_room_fails_the_backup_and_the_next_one_misses_nothing(
    stack: Stack, tmp_path: Path
) -> None:
    vaults = Path(stack.environment["BACKUP_ENGINE_OBJECT_STORE_FOLDER"])
    # Runners that other tests killed while they wrote.
    left = set(vaults.rglob(f"{TEMPORARY}*"))
    async with fleet_of(stack, tmp_path, 1) as fleet:
        [machine] = fleet.machines
        [_full] = await fleet.back_up_all()
        [before] = await fleet.points(machine)
        await fleet.sim.write(machine["moid"], 0.3, seed=1)
        with _no_room(stack):
            failed = await fleet.ended(f"/api/backup-jobs/{(await fleet.request(machine))['id']}/")
        task = failed["tasks"][0]
        assert (task["status"], task["error"]["code"], task["attempts"]) == ("failed", "store_full", 1), task
        assert await fleet.points(machine) == [before]
        assert set(vaults.rglob(f"{TEMPORARY}*")) == left
        await fleet.back_up_all()
        _, made = await fleet.points(machine)
        assert (made["mode"], made["parent_point_id"]) == ("incremental", before["id"])
        assert await fleet.restores(made)
