"""Backup configurations: which virtual machines are protected. Protected ones count against the plan."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common.ids import uuid7

from backup_engine.domain.inventory import Configuration, Machine
from backup_engine.domain.quota import Resource
from backup_engine.domain.tenant import Tenant
from backup_engine.errors import ConfigurationNameTaken, ServersDiffer, VirtualMachineNotFound
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.report_usage import report_usage, warn_when_near


async def create_configuration(
    uow: UnitOfWork,
    tenant: Tenant,
    *,
    name: str,
    server_id: UUID,
    vm_ids: Sequence[UUID],
    quiesce: str,
    retention_days: int | None,
    created_by: UUID,
) -> Configuration:
    """Add a configuration and protect its machines.

    Raises:
        EsxiServerNotFound: no such server. VirtualMachineNotFound: no such machine.
        ServersDiffer: a machine of another server.
        QuotaReached: more machines than the plan protects.
        ConfigurationNameTaken: the name is in use.
    """
    await uow.servers.get(server_id)
    await _machines_of(uow, server_id, vm_ids)
    now = uow.clock.now()
    configuration = Configuration(
        id=uuid7(),
        server_id=server_id,
        name=name,
        quiesce=quiesce,
        retention_days=retention_days,
        is_active=True,
        created_by=created_by,
        created_at=now,
        updated_at=now,
        vm_ids=tuple(sorted(set(vm_ids))),
    )
    if not await uow.configurations.add(configuration):
        raise ConfigurationNameTaken(name=name)
    await protect(uow, tenant, vm_ids)
    await uow.audit("backup_configuration.created", str(configuration.id), actor=created_by)
    return configuration


async def change_configuration(
    uow: UnitOfWork,
    tenant: Tenant,
    configuration_id: UUID,
    *,
    actor: UUID,
    vm_ids: Sequence[UUID] | None = None,
    **values: object,
) -> Configuration:
    """Change what is given; machines that leave stay protected by their restore points, if they have any."""
    former = await uow.configurations.get(configuration_id, lock=True)
    changed = {name: value for name, value in values.items() if value is not None}
    await uow.configurations.change(configuration_id, updated_at=uow.clock.now(), **changed)
    if vm_ids is not None:
        await _machines_of(uow, former.server_id, vm_ids)
        await uow.configurations.set_machines(configuration_id, sorted(set(vm_ids)))
        await protect(uow, tenant, vm_ids)
        await release_unprotected(uow, tenant, [vm_id for vm_id in former.vm_ids if vm_id not in vm_ids])
    await uow.audit("backup_configuration.changed", str(configuration_id), actor=actor)
    return await uow.configurations.get(configuration_id)


async def delete_configuration(uow: UnitOfWork, tenant: Tenant, configuration_id: UUID, *, actor: UUID) -> None:
    """Delete a configuration; restore points stay as long as they were to be kept."""
    former = await uow.configurations.get(configuration_id, lock=True)
    await uow.configurations.remove(configuration_id)
    await release_unprotected(uow, tenant, former.vm_ids)
    await uow.audit("backup_configuration.deleted", str(configuration_id), actor=actor)


async def protect(uow: UnitOfWork, tenant: Tenant, vm_ids: Sequence[UUID]) -> None:
    """Count those machines that were not protected yet. Raises QuotaReached; nothing is changed then."""
    new = await uow.machines.protect(sorted(set(vm_ids)))
    if new:
        used = await uow.quota.take(tenant.quotas, Resource.VMS, len(new))
        await report_usage(uow, tenant, Resource.VMS)
        await warn_when_near(uow, tenant.quotas, Resource.VMS, used - len(new), used)


async def release_unprotected(uow: UnitOfWork, tenant: Tenant, vm_ids: Sequence[UUID]) -> None:
    """Stop counting machines that neither a configuration nor a restore point protects any more."""
    if not vm_ids:
        return
    kept = await uow.configurations.protecting(vm_ids) | await uow.points.of_machines(vm_ids)
    freed = await uow.machines.protect([vm_id for vm_id in vm_ids if vm_id not in kept], protected=False)
    if freed:
        await uow.quota.give_back(Resource.VMS, len(freed))
        await report_usage(uow, tenant, Resource.VMS)


async def _machines_of(uow: UnitOfWork, server_id: UUID, vm_ids: Sequence[UUID]) -> list[Machine]:
    machines = await uow.machines.many(sorted(set(vm_ids)), lock=True)
    if len(machines) != len(set(vm_ids)):
        raise VirtualMachineNotFound
    if any(machine.server_id != server_id for machine in machines):
        raise ServersDiffer
    return machines
