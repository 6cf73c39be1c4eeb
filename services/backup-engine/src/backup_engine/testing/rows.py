"""Rows that a test needs without going the whole way: a server, a machine, a restore point, a restore."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import text

from backup_engine.domain.inventory import Machine, MachineDisk, Storage
from backup_engine.domain.job import Job, TaskStatus
from backup_engine.testing.engine import Engine
from backup_engine.usecases.register_server import register_server
from backup_engine.usecases.request_restore import request_disk_restore

KEY = 2000
"""Device key of the first disk of a machine, as vSphere numbers it."""


async def a_server(engine: Engine, tenant_id: UUID, hostname: str = "esxi.example") -> UUID:
    """A registered server that nobody has called yet."""
    async with engine.built.store.for_tenant(tenant_id) as uow:
        server = await register_server(
            uow,
            await uow.tenants.get(),
            engine.built.box,
            hostname=hostname,
            port=443,
            username="root",
            password="secret",  # noqa: S106  # of a host that does not exist
            thumbprint=None,
            created_by=uuid7(),
        )
        now = uow.clock.now()
        await uow.placements.replace(
            server.id, [Storage(uuid7(), server.id, "ds-1", "datastore1", "VMFS", 10**12, 10**11, True, now)], []
        )
    return server.id


async def a_machine(engine: Engine, tenant_id: UUID, server_id: UUID, name: str = "web") -> UUID:
    """A machine of one disk of 8 MiB, as a synchronisation would store it."""
    async with engine.built.store.for_tenant(tenant_id) as uow:
        disk = MachineDisk(KEY, "Hard disk 1", 8 << 20, str(uuid7()), f"[datastore1] {name}.vmdk", "ds-1", thin=True)
        machine = Machine(
            id=uuid7(),
            server_id=server_id,
            moid=f"vm-{uuid7().hex[-6:]}",
            name=name,
            instance_uuid=str(uuid7()),
            power_state="on",
            guest_os=None,
            is_template=False,
            present=True,
            protected=False,
            cbt_unsafe=False,
            synced_at=uow.clock.now(),
            disks=(disk,),
        )
        return await uow.machines.store(machine)


async def a_point(engine: Engine, tenant_id: UUID, vm_id: UUID, **values: Any) -> UUID:
    """A restore point's row; the vault has nothing of it."""
    async with engine.built.store.for_tenant(tenant_id) as uow:
        machine, vault, now = await uow.machines.get(vm_id), await uow.vaults.default(), uow.clock.now()
        job = Job(uuid7(), "backup", None, uuid7(), now)
        point: dict[str, Any] = {
            "id": uuid7(),
            "vm_id": vm_id,
            "server_id": machine.server_id,
            "vault_id": vault.id,
            "job_id": job.id,
            "token": 1,
            "manifest": "points/x.1",
            "manifest_sha256": "0" * 64,
            "state": "live",
            "mode": "full",
            "vm_name": machine.name,
            "parent_point_id": None,
            "snapshot_at": now,
            "committed_at": now,
            "keep_until": now + timedelta(days=60),
            "capacity_bytes": 8 << 20,
            "seconds_total": 1,
            "warnings": [],
            **values,
        }
        disk = {
            "key": KEY,
            "label": "Hard disk 1",
            "uuid": None,
            "capacity_bytes": 8 << 20,
            "root": bytes(32),
            "mode": "full",
            "full_reason": "first_point",
            "transport": "lease",
            "transport_reason": "",
        }
        await uow.jobs.add(job, [])
        await uow.points.add(point, [disk])
        return UUID(str(point["id"]))


async def a_completed_restore(engine: Engine, tenant_id: UUID, point_id: UUID) -> UUID:
    """A disk restore that is done; returns the job's id."""
    async with engine.built.store.for_tenant(tenant_id) as uow:
        job_id = await request_disk_restore(
            uow, restore_point_id=point_id, disk_key=None, export=False, requested_by=uuid7()
        )
        task = (await uow.jobs.get(job_id, "restore"))[1][0]
        await uow.tasks.change(task.id, status=str(TaskStatus.RUNNING))
        await uow.tasks.move(task.id, TaskStatus.COMPLETED, result={"disks": []})
    return job_id


async def query(engine: Engine, tenant_id: UUID, sql: str, **parameters: Any) -> list[Any]:
    """Rows of a statement under the tenant's door; for looking and for making time pass."""
    async with engine.built.store.for_tenant(tenant_id) as uow:
        result = await uow.session.execute(text(sql), parameters)
        return list(result.all()) if result.returns_rows else []  # type: ignore[attr-defined]
