"""Ask for a restore: of a whole machine under a new name, or of disks as raw bytes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from common.ids import uuid7

from backup_engine.domain.job import Job, TaskKind
from backup_engine.domain.point import RestorePoint
from backup_engine.errors import DatastoreNotChosen, DiskNotFound, EsxiServerInactive, NoSuchDatastore
from backup_engine.persistence.unit_of_work import UnitOfWork

EVERYTHING = 1000
"""More datastores than one host can have (VMware configuration maximums: 1,024 volumes across a cluster)."""


async def request_machine_restore(
    uow: UnitOfWork,
    *,
    restore_point_id: UUID,
    server_id: UUID,
    name: str,
    datastore: str | None,
    networks: dict[str, str],
    power_on: bool,
    requested_by: UUID,
) -> UUID:
    """Make the job; returns its id. Allowed to suspended organizations too (S42).

    Raises:
        RestorePointNotFound, EsxiServerNotFound, EsxiServerInactive, NoSuchDatastore, DatastoreNotChosen.
    """
    point = await uow.points.get(restore_point_id)
    server = await uow.servers.get(server_id)
    if not server.is_active:
        raise EsxiServerInactive
    chosen = await _datastore(uow, server_id, datastore)
    params = {"restore": "vm", "name": name, "datastore": chosen[0], "networks": networks, "power_on": power_on}
    return await _add(uow, point, server_id, chosen[1], params, requested_by, point.capacity_bytes)


async def request_disk_restore(
    uow: UnitOfWork, *, restore_point_id: UUID, disk_key: int | None, export: bool, requested_by: UUID
) -> UUID:
    """Make the job that proves the disks readable and keeps them pinned for download; returns its id.

    Raises:
        RestorePointNotFound; DiskNotFound: the point has no disk of this key.
    """
    point = await uow.points.get(restore_point_id)
    disks = [disk for disk in point.disks if disk_key is None or disk.key == disk_key]
    if not disks:
        raise DiskNotFound
    params = {"restore": "disks", "disk_keys": [disk.key for disk in disks], "export": export}
    total = sum(disk.capacity_bytes for disk in disks)
    return await _add(uow, point, point.server_id, None, params, requested_by, total)


async def _datastore(uow: UnitOfWork, server_id: UUID, wanted: str | None) -> tuple[str, str | None]:
    """Name and id of the datastore; asked for when there is more than one, never guessed (D60)."""
    found = await uow.placements.datastores(server_id, None, EVERYTHING)
    if wanted is not None:
        match = next((one for one in found if wanted in (one.name, one.moid, str(one.id))), None)
        if match is None:
            raise NoSuchDatastore(datastore=wanted)
        return match.name, match.moid
    if len(found) != 1:
        raise DatastoreNotChosen
    return found[0].name, found[0].moid


async def _add(
    uow: UnitOfWork,
    point: RestorePoint,
    server_id: UUID,
    datastore: str | None,
    params: dict[str, Any],
    requested_by: UUID,
    total: int,
) -> UUID:
    vault = await uow.vaults.get(point.vault_id)
    job = Job(uuid7(), "restore", None, requested_by, uow.clock.now())
    task = {
        "id": uuid7(),
        "kind": str(TaskKind.RESTORE),
        "vm_id": point.vm_id,
        "server_id": server_id,
        "vault_id": vault.id,
        "site_id": vault.site_id,
        "queue": await uow.vaults.queue_of(vault.site_id),
        "datastore": datastore,
        "point_id": point.id,
        "params": params,
        "bytes_total": total,
    }
    await uow.jobs.add(job, [task])
    await uow.audit("restore_job.requested", str(job.id), actor=requested_by, details={"point": str(point.id)})
    return job.id
