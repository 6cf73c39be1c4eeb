"""Ours: a first full backup and a restore to a file by the runner's own steps, from the claim to after the commit.

Control plane and catalogue are PostgreSQL with row-level security and durable commits, as in the service; heartbeat
and fence are at work. Only the host is a stand-in (``local_host``).
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

from backup_engine.adapters.vsphere.hypervisor import VSphereConnector
from backup_engine.domain.job import Task, TaskStatus
from backup_engine.runner.attempt import Attempt
from backup_engine.runner.backup import back_up
from backup_engine.runner.restore_disks import restore_disks
from backup_engine.runner.tools import RunnerTools
from backup_engine.testing import rows
from backup_engine.testing.engine import Engine, engine_of
from backup_engine.usecases.request_backup import request_backup
from backup_engine.usecases.request_restore import request_disk_restore
from common.testing.databases import ServiceDatabase

from devstack.bench.image import Image
from devstack.bench.local_host import LocalHost

BUSY = 0.8
"""A run whose share of all processors is above this was held up by computing."""


@dataclass(frozen=True, slots=True)
class Done:
    """One task: how long it took, which share of all processors this process had, and what it left."""

    seconds: float
    processors: float
    task: Task


@dataclass(frozen=True, slots=True)
class RunnerRun:
    """One organization with one machine and an empty vault."""

    engine: Engine
    tenant_id: UUID
    vm_id: UUID
    image: Image

    @property
    def vault(self) -> Path:
        return self.engine.built.settings.object_store_folder

    async def back_up(self) -> Done:
        """Run a first full backup to its commit."""
        async with self.engine.built.store.for_tenant(self.tenant_id) as uow:
            tenant = await uow.tenants.get()
            job_id = await request_backup(uow, tenant, requested_by=uuid4(), vm_id=self.vm_id)
            task = (await uow.jobs.get(job_id, "backup"))[1][0]
        return await self._attempt(task.id, back_up)

    async def restore(self, point_id: UUID) -> Done:
        """Restore the disk to a durable file.

        Raises:
            AssertionError: what came back is not the image.
        """
        async with self.engine.built.store.for_tenant(self.tenant_id) as uow:
            job_id = await request_disk_restore(
                uow, restore_point_id=point_id, disk_key=None, export=True, requested_by=uuid4()
            )
            task = (await uow.jobs.get(job_id, "restore"))[1][0]
        done = await self._attempt(task.id, restore_disks)
        disk = (done.task.result or {})["disks"][0]
        assert disk["sha256"] == self.image.sha256, "the restored disk is not the image"
        assert Path(disk["file"]).stat().st_size == self.image.size
        return done

    async def _attempt(self, task_id: UUID, work: Callable[[Attempt], Awaitable[None]]) -> Done:
        built = self.engine.built
        await self.engine.dispatcher.admit()
        tools = RunnerTools(
            built.control_plane(), built.connector, built.blobs, built.kms, built.settings.export_folder
        )
        await asyncio.to_thread(os.sync)
        began, sent_at, used = time.perf_counter(), time.monotonic(), time.process_time()
        claim = await tools.control.claim(task_id, built.settings.runner_site, "bench")
        assert claim is not None, "the task is not ready"
        await Attempt(tools, claim, sent_at).run(work)
        seconds, used = time.perf_counter() - began, time.process_time() - used
        async with built.store.for_tenant(self.tenant_id) as uow:
            task = await uow.tasks.find(task_id)
        assert task is not None
        assert task.status is TaskStatus.COMPLETED, f"{task.status}: {task.error}"
        return Done(seconds, used / seconds / (os.cpu_count() or 1), task)


@asynccontextmanager
async def runner_run(database: ServiceDatabase, folder: Path, image: Image) -> AsyncIterator[RunnerRun]:
    """An empty vault below ``folder`` for the block, and the machine that is to be backed up into it."""
    engine = await engine_of(database, folder)
    handle = os.open(image.path, os.O_RDONLY)
    try:
        await engine.built.connector.aclose()
        local = cast("VSphereConnector", LocalHost(image, handle))
        engine.built = replace(engine.built, connector=local)
        tenant_id = await engine.tenant()
        server_id = await rows.a_server(engine, tenant_id)
        yield RunnerRun(engine, tenant_id, await rows.a_machine(engine, tenant_id, server_id), image)
    finally:
        os.close(handle)
        await engine.built.blobs.close()
        await engine.built.database.close()
