"""Tell the others what is used, and when a limit comes near."""

from __future__ import annotations

from backup_engine.domain.quota import NEARING_PERCENT, Quotas, Resource, crossed, usage_month
from backup_engine.domain.tenant import Tenant
from backup_engine.events import QuotaNearing, UsageRecorded
from backup_engine.persistence.unit_of_work import UnitOfWork

FIELDS = {
    Resource.ESXI_SERVERS: "esxi_servers_count",
    Resource.VMS: "vms_count",
    Resource.BACKUPS: "backups_count",
    Resource.STORAGE: "storage_bytes",
}
"""The figure of a report that a resource fills."""


async def report_usage(uow: UnitOfWork, tenant: Tenant, *resources: Resource) -> None:
    """Publish the whole figures of the named resources, in the transaction that changed them."""
    now = uow.clock.now()
    figures: dict[str, int] = {}
    for resource in resources:
        if resource is Resource.BACKUPS:
            figures[FIELDS[resource]] = await uow.quota.used(resource, usage_month(now, tenant.anchor))
        else:
            figures[FIELDS[resource]] = await uow.quota.used(resource)
    await uow.publish(UsageRecorded(measured_at=now, **figures), subject=str(uow.tenant_id))


async def warn_when_near(uow: UnitOfWork, quotas: Quotas, resource: Resource, before: int, after: int) -> None:
    """Publish quota.nearing when this change passed 90 % of the limit."""
    limit = quotas.storage_bytes if resource is Resource.STORAGE else quotas.limit(resource)
    if limit is not None and crossed(before, after, limit, NEARING_PERCENT):
        unit = "bytes" if resource is Resource.STORAGE else "count"
        fact = QuotaNearing(resource=str(resource), limit=limit, used=after, unit=unit)
        await uow.publish(fact, subject=str(uow.tenant_id))
