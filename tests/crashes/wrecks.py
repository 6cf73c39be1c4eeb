"""Runners that are killed or stopped at a crash point, one for each point, in place of a stack's own runner."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from common.crash_points import Deed
from devstack.customer import JSON, until
from devstack.servers.processes import wait_until
from devstack.stack import Stack

RUNNER = "backup-engine-runner"


@asynccontextmanager
async def doomed(stack: Stack, deeds: Mapping[str, Deed]) -> AsyncIterator[dict[str, str]]:
    """Replace the stack's runner by one for each point, with one slot each; yields their names by point.

    It first ends every task that there is: they would die of what other tests left to be done. In the end they are
    gone and the stack's own runner is there again.
    """
    await _nothing_left(stack)
    await leave(stack, RUNNER)
    names = {point: f"{RUNNER}-at-{point}" for point in deeds}
    try:
        for point, name in names.items():
            stack.spawn(RUNNER, name=name, crash_points={point: deeds[point]}, BACKUP_ENGINE_RUNNER_SLOTS="1")
        await stack.ready(*names.values())
        yield names
    finally:
        left = [name for name in names.values() if name in stack.processes]
        for name in left:
            stack.send(name, signal.SIGKILL)
        for name in left:
            await stack.dead(name)
            stack.forget(name)
        if RUNNER not in stack.processes:
            await relieve(stack)


async def _nothing_left(stack: Stack) -> None:
    async def left() -> JSON:
        return {"open": await stack.rows("backup_engine", "SELECT kind, status FROM tasks WHERE finished_at IS NULL")}

    await until(left, lambda found: not found["open"], seconds=300)


async def relieve(stack: Stack) -> None:
    """Start the stack's own runner again."""
    await stack.start_part(RUNNER)


async def leave(stack: Stack, name: str) -> None:
    """Let a part end as an update of the deployment does; fails unless it ends well."""
    stack.send(name, signal.SIGTERM)
    assert await stack.dead(name) == 0, stack.processes[name].last_words
    stack.forget(name)


async def died(stack: Stack, names: Mapping[str, str], *, seconds: float = 120) -> dict[str, int]:
    """How each of the runners ended, by point."""
    statuses = await asyncio.gather(*(stack.dead(name, seconds=seconds) for name in names.values()))
    return dict(zip(names, statuses, strict=True))


async def halted(stack: Stack, names: Mapping[str, str], *, seconds: float = 120) -> None:
    """Wait until each of the runners is dead or stopped by its signal."""
    pids = [stack.processes[name].pid for name in names.values()]
    met = await asyncio.to_thread(wait_until, lambda: all(_halted(pid) for pid in pids), seconds)
    assert met, {name: _halted(stack.processes[name].pid) for name in names.values()}


def _halted(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZX"
    except FileNotFoundError:
        return True
