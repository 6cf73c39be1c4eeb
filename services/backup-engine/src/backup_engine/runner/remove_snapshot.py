"""Remove one snapshot of ours: sent once, polled by the host's task for as long as it takes (hours are normal)."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from common.crash_points import reach

from backup_engine.errors import ConsolidationNeeded
from backup_engine.errors.hypervisor import SnapshotNotFound, VmNotFound
from backup_engine.ports.control_plane import RemovalOrder
from backup_engine.ports.hypervisor import Hypervisor
from backup_engine.ports.hypervisor_values import TaskPhase
from backup_engine.runner.attempt import Attempt
from backup_engine.runner.busy import when_free

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
LONGEST_POLL_SECONDS = 10.0
UNKNOWN_SENDING_SECONDS = 60.0
"""An attempt died between sending the removal and noting its task: so long it is looked whether it works."""
CONSOLIDATIONS = 3


async def remove_snapshot(attempt: Attempt) -> None:
    """Execute a RemovalOrder. A machine or snapshot that is gone is a removal done."""
    order = attempt.claim.order
    assert isinstance(order, RemovalOrder)
    reach("backup-engine.removal.begun")
    attempt.tell(phase="removing snapshot")
    async with attempt.host() as host:
        try:
            await _remove(attempt, host, order)
            await _consolidate(attempt, host, order.vm_moid)
        except VmNotFound as gone:
            attempt.warn(gone)
        reach("backup-engine.removal.done")
        await attempt.tools.control.snapshot_removed(attempt.grant, attempt.warnings)


async def _remove(attempt: Attempt, host: Hypervisor, order: RemovalOrder) -> None:
    moref = await _find(host, order)
    if moref is None:
        return
    if order.host_task is not None:
        state = await _ended(host, order.host_task)
        if state is TaskPhase.SUCCESS or not await host.snapshot_exists(moref):
            return
    elif order.sent and await _disappears(host, moref):
        return
    await attempt.tools.control.removal_sent(attempt.grant, None)
    reach("backup-engine.removal.intended")
    try:
        task = await when_free(partial(host.start_snapshot_removal, moref))
    except SnapshotNotFound:
        return
    reach("backup-engine.removal.asked")
    await attempt.tools.control.removal_sent(attempt.grant, task)
    reach("backup-engine.removal.noted")
    phase = await _ended(host, task)
    if phase is TaskPhase.ERROR and await host.snapshot_exists(moref):
        error = (await host.task_state(task)).error
        # Without a task of the host in the ledger, the next attempt may send it again.
        await attempt.tools.control.removal_sent(attempt.grant, None)
        raise error or SnapshotNotFound(moref=moref)


async def _find(host: Hypervisor, order: RemovalOrder) -> str | None:
    """By moref; by name where the attempt died before it learned the moref."""
    if order.moref is not None:
        return order.moref if await host.snapshot_exists(order.moref) else None
    found = await host.snapshots(order.vm_moid, prefix=order.name)
    return next((snapshot.moref for snapshot in found if snapshot.name == order.name), None)


async def _ended(host: Hypervisor, task: str) -> TaskPhase:
    pause = POLL_SECONDS / 8
    while not (state := await host.task_state(task)).ended:
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_POLL_SECONDS)
    return state.phase


async def _disappears(host: Hypervisor, moref: str) -> bool:
    for _ in range(int(UNKNOWN_SENDING_SECONDS / POLL_SECONDS)):
        if not await host.snapshot_exists(moref):
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def _consolidate(attempt: Attempt, host: Hypervisor, vm_moid: str) -> None:
    """Merge delta files that the removal left (D16); after three tries a person has to look."""
    for _ in range(CONSOLIDATIONS):
        if not (await host.virtual_machine(vm_moid)).consolidation_needed:
            return
        log.info("machine %s needs consolidation", vm_moid)
        await _ended(host, await host.start_consolidation(vm_moid))
    if (await host.virtual_machine(vm_moid)).consolidation_needed:
        attempt.warn(ConsolidationNeeded(moid=vm_moid))
