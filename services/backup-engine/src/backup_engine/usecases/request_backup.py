"""Ask for a backup now: a job with one task per virtual machine, waiting for the dispatcher."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from common.errors import DomainError
from common.ids import uuid7

from backup_engine.domain.inventory import Machine
from backup_engine.domain.job import Job, TaskKind
from backup_engine.domain.quota import Resource, usage_month
from backup_engine.domain.tenant import Tenant
from backup_engine.domain.vault import VaultState
from backup_engine.errors import (
    EsxiServerInactive,
    NoVirtualMachines,
    QuotaReached,
    VaultReadOnly,
    VirtualMachineNotFound,
)
from backup_engine.events import QuotaHit
from backup_engine.persistence.tenants import VaultRow
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.protect_machines import protect
from backup_engine.usecases.report_usage import report_usage, warn_when_near


async def request_backup(
    uow: UnitOfWork,
    tenant: Tenant,
    *,
    requested_by: UUID,
    configuration_id: UUID | None = None,
    vm_id: UUID | None = None,
) -> UUID:
    """Make the job; returns its id. Places under the quotas are taken in the same transaction.

    Raises:
        ConfigurationNotFound, VirtualMachineNotFound, NoVirtualMachines, EsxiServerInactive, VaultReadOnly.
        QuotaReached: backups of this month, protected machines, or storage.
    """
    machines, params = await _wanted(uow, configuration_id, vm_id)
    vault = await uow.vaults.default()
    if vault.state is VaultState.READ_ONLY:
        raise VaultReadOnly
    queue = await uow.vaults.queue_of(vault.site_id)
    for server_id in {machine.server_id for machine in machines}:
        if not (await uow.servers.get(server_id)).is_active:
            raise EsxiServerInactive
    month = usage_month(uow.clock.now(), tenant.anchor)
    await uow.quota.check_storage(tenant.quotas)
    used = await uow.quota.take(tenant.quotas, Resource.BACKUPS, len(machines), month)
    await protect(uow, tenant, [machine.id for machine in machines])
    job = Job(uuid7(), "backup", configuration_id, requested_by, uow.clock.now())
    await uow.jobs.add(job, [_task(machine, vault, queue, params, month) for machine in machines])
    await report_usage(uow, tenant, Resource.BACKUPS)
    await warn_when_near(uow, tenant.quotas, Resource.BACKUPS, used - len(machines), used)
    await uow.audit("backup_job.requested", str(job.id), actor=requested_by)
    return job.id


async def _wanted(
    uow: UnitOfWork, configuration_id: UUID | None, vm_id: UUID | None
) -> tuple[list[Machine], dict[str, Any]]:
    if configuration_id is None:
        assert vm_id is not None
        machine = await uow.machines.get(vm_id, lock=True)
        if not machine.present:
            raise VirtualMachineNotFound
        return [machine], {"quiesce": "try", "retention_days": None}
    configuration = await uow.configurations.get(configuration_id)
    machines = [one for one in await uow.machines.many(configuration.vm_ids, lock=True) if one.present]
    if not machines:
        raise NoVirtualMachines
    return machines, {"quiesce": configuration.quiesce, "retention_days": configuration.retention_days}


def _task(machine: Machine, vault: VaultRow, queue: str, params: dict[str, Any], month: date) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "kind": str(TaskKind.BACKUP),
        "vm_id": machine.id,
        "server_id": machine.server_id,
        "vault_id": vault.id,
        "site_id": vault.site_id,
        "queue": queue,
        "datastore": machine.datastore,
        "params": params,
        "bytes_total": machine.capacity_bytes,
        "quota_month": month,
    }


async def note_quota_hit(uow: UnitOfWork, error: DomainError) -> None:
    """Publish quota.reached in a transaction of its own: the refused act's was rolled back."""
    if isinstance(error, QuotaReached):
        fields = error.fields
        fact = QuotaHit(
            resource=str(fields["resource"]), limit=int(str(fields["limit"])), current=int(str(fields["current"]))
        )
        await uow.publish(fact, subject=str(uow.tenant_id))
