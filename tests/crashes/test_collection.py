"""The worker is killed between two steps of garbage collection; the next one goes on, and no point loses a byte."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from backup_engine.bootstrap import assemble
from backup_engine.settings import Settings
from backup_engine.testing.engine import Engine
from backup_engine.testing.vaults import MIB, Vault, disk
from common.crash_points import Deed
from common.messaging.in_process import InProcessBroker
from common.settings import load
from common.testing import eventually
from devstack import environment
from devstack.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]

WORKER = "backup-engine-worker"
OFTEN = {"BACKUP_ENGINE_COLLECT_HOURS": "0.0001"}
"""A cycle of each vault with each turn."""

STEPS = [
    "object_deleted",
    "settled",
    "cutoff_noted",
    "epoch_raised",
    "node_marked",
    "marked",
    "deleting_set",
    "searched",
    "deletion_noted",
    "row_deleted",
    "finished",
]


@asynccontextmanager
async def engine_beside(stack: Stack) -> AsyncIterator[Engine]:
    """The service's own code on the stack's database, store and keys: it writes what a runner would."""
    with environment.applied(stack.environment):
        settings = load(Settings)
    broker = InProcessBroker()
    built = await assemble(settings, broker)
    try:
        yield Engine(built, broker)
    finally:
        await built.close()


async def restart(stack: Stack, point: str | None = None, **settings: str) -> None:
    """Replace the worker by one that is killed at a point, which may be before it is ready, or by one that is not."""
    if stack.processes[WORKER].process.alive:
        stack.send(WORKER, signal.SIGKILL)
        await stack.dead(WORKER)
    if point:
        stack.spawn(WORKER, crash_points={f"backup-engine.gc.{point}": Deed.KILL}, **settings)
    else:
        await stack.start_part(WORKER, **settings)


async def let_others_rest(stack: Stack) -> None:
    """Have every vault that is there now collected, as far as the worker knows: it dies at one of the test's own."""
    rested = "phase = 'finished', held_until = null, finished_at = now() + interval '1 hour'"
    await stack.rows(
        "backup_engine",
        "INSERT INTO collections (tenant_id, vault_id, phase, finished_at)"
        " SELECT tenant_id, id, 'finished', now() + interval '1 hour' FROM vaults"
        f" ON CONFLICT (tenant_id, vault_id) DO UPDATE SET {rested}",
    )


async def with_garbage(engine: Engine) -> tuple[Vault, dict[UUID, bytes], set[str]]:
    """A vault with two points, a deleted third and what a failed backup left; what shall stay of it."""
    vault = await Vault.of(engine)
    contents: dict[UUID, bytes] = {}
    for content in (disk(1, 2, 3), disk(1, 5, 3)):
        contents[await vault.back_up(content)] = content
    kept = vault.objects()
    await vault.delete_point(await vault.back_up(disk(6, 2, 3)))
    died = await vault.begin()
    await died.write(b"".join(bytes([number]) * MIB for number in range(7, 12)))
    await died.fail()
    return vault, contents, kept


@pytest.mark.invariant("D43", "D53")
@pytest.mark.parametrize("point", STEPS)
async def test_a_worker_killed_between_two_steps_leaves_every_point_whole_and_in_the_end_no_garbage(
    stack: Stack, point: str
) -> None:
    await let_others_rest(stack)
    async with engine_beside(stack) as engine:
        vaults = [await with_garbage(engine) for _ in range(2)]
        await restart(stack, point, **OFTEN)
        assert await stack.dead(WORKER, seconds=120) == -signal.SIGKILL
        for vault, contents, _ in vaults:
            for point_id, content in contents.items():
                assert await vault.restored(point_id) == content
            await vault.query("update collections set held_until = now() - interval '1 second'")
        await restart(stack, **OFTEN)
        for vault, contents, kept in vaults:

            async def clean(vault: Vault = vault, kept: set[str] = kept) -> bool:
                rows = await vault.query("select 1 from chunks where state <> 'live'")
                return vault.objects() == kept and not rows

            await eventually(clean, seconds=180, what="the garbage is gone")
            assert len(vault.manifests()) == len(contents)
            for point_id, content in contents.items():
                assert await vault.restored(point_id) == content
        await restart(stack)
