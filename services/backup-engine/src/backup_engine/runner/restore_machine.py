"""Make a new virtual machine from a restore point: tag, import, bytes, prepare, and power last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from common.crash_points import reach
from common.errors import DomainError

from backup_engine.domain.machine_configuration import MachineConfiguration
from backup_engine.errors import RestoreLeftOut
from backup_engine.errors.hypervisor import HypervisorError
from backup_engine.ports.control_plane import RestoreMachineOrder
from backup_engine.ports.hypervisor import Hypervisor, ImportLease, ImportRequest
from backup_engine.ports.vault import Buffer
from backup_engine.runner.attempt import Attempt
from backup_engine.runner.busy import when_free
from backup_engine.vault.manifest import load_manifest
from backup_engine.vault.reader import PointReader

log = logging.getLogger(__name__)

IMPORT_TRIES = 3
"""Imports within an attempt: an upload that broke cannot go on, a fresh lease with a fresh machine can (D34)."""
AGAIN_SECONDS = 2.0
"""Pause before the next import, growing each time: a host that ended one for lack of resources needs a moment."""


async def restore_machine(attempt: Attempt) -> None:
    """Execute a RestoreMachineOrder. On any error nothing that it made stays on the host."""
    order = attempt.claim.order
    assert isinstance(order, RestoreMachineOrder)
    reach("backup-engine.restore.begun")
    keyring = await attempt.keyring()
    manifest = await load_manifest(attempt.store, keyring, order.point.point_id, order.point.token)
    configuration = MachineConfiguration.from_json(manifest.machine["configuration"])
    attempt.tell(phase="preparing", mode="restore", bytes_total=sum(d.capacity_bytes for d in manifest.disks))
    for left_out in configuration.not_restorable:
        attempt.warn(RestoreLeftOut(device=left_out))
    reader = PointReader(attempt.store, keyring, manifest, generations=attempt.catalogue)
    async with reader, attempt.host() as host:
        await _destroy_earlier(attempt, host)
        moid = await _import(attempt, host, order, configuration, reader)
        reach("backup-engine.restore.machine_complete")
        try:
            await attempt.tools.control.prepare(attempt.grant, None)
            reach("backup-engine.restore.prepared")
            if order.power_on:
                attempt.tell(phase="powering on")
                await host.power_on(moid)
            reach("backup-engine.restore.powered")
            machine = await host.virtual_machine(moid)
            await attempt.restored({"name": order.name}, machine)
        except DomainError:
            await _destroy(host, moid)
            raise


async def _destroy_earlier(attempt: Attempt, host: Hypervisor) -> None:
    """What earlier attempts left behind, whose leases are over and whose fences are up, and earlier imports of ours."""
    for machine in await host.tagged(str(attempt.grant.task_id)):
        _task, _, token = (machine.task_tag or "").rpartition(".")
        if token.isdigit() and int(token) <= attempt.grant.token:
            log.info("task %s: destroying what attempt %s left", attempt.grant.task_id, token)
            await when_free(partial(host.destroy, machine.moid))


async def _destroy(host: Hypervisor, moid: str) -> None:
    try:
        await host.destroy(moid)
    except DomainError as error:
        # The next attempt, or the fence's owner, finds it by its tag.
        log.warning("a half-made machine could not be destroyed: %s", error)


async def _import(
    attempt: Attempt,
    host: Hypervisor,
    order: RestoreMachineOrder,
    configuration: MachineConfiguration,
    reader: PointReader,
) -> str:
    request = ImportRequest(
        configuration=configuration,
        name=order.name,
        tag=f"{attempt.grant.task_id}.{attempt.grant.token}",
        datastore=order.datastore,
        networks=order.networks,
    )
    for tries_left in range(IMPORT_TRIES - 1, -1, -1):
        lease = await host.import_machine(request)
        try:
            return await _fill(attempt, lease, reader)
        except HypervisorError as error:
            if not tries_left or not error.retryable:
                raise
            log.warning("task %s: the machine is made again: %s", attempt.grant.task_id, error)
        await asyncio.sleep(AGAIN_SECONDS * (IMPORT_TRIES - tries_left))
        await _destroy_earlier(attempt, host)
        attempt.tell(bytes_read=0, bytes_skipped=0)
    raise AssertionError("the last try returns or raises")


async def _fill(attempt: Attempt, lease: ImportLease, reader: PointReader) -> str:
    """Write every disk and return the machine's moid; on any error the machine goes with its lease."""
    reach("backup-engine.restore.machine_made")
    try:
        attempt.tell(phase="writing", transport="lease", transport_reason="a new machine is written by import")
        for key in lease.disk_keys:
            async with aclosing(_blocks(attempt, reader, key)) as blocks:
                await lease.write_disk(key, blocks)
        reach("backup-engine.restore.disks_written")
        return await lease.complete()
    finally:
        await lease.close()


async def _blocks(attempt: Attempt, reader: PointReader, key: int) -> AsyncGenerator[tuple[int, Buffer], None]:
    """The disk's chunks in order; what is left out reads as zeros."""
    base = attempt.progress.bytes_read + attempt.progress.bytes_skipped
    reached = 0
    read = attempt.progress.bytes_read
    async for offset, data in reader.stream(key):
        yield offset, data
        reach("backup-engine.restore.partly_written")
        read += len(data)
        reached = offset + len(data)
        attempt.tell(bytes_read=read, bytes_skipped=base + reached - read)
    capacity = reader.disk(key).capacity_bytes
    attempt.tell(bytes_read=read, bytes_skipped=base + capacity - read)
