"""Compare the quota counters of an organization with what they count, correct them, and tell the whole figures."""

from __future__ import annotations

from collections.abc import Mapping

from backup_engine.domain.quota import Resource, usage_month
from backup_engine.domain.tenant import Tenant
from backup_engine.events import UsageRecorded
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.protect_machines import release_unprotected
from backup_engine.usecases.report_usage import FIELDS


async def reconcile_usage(uow: UnitOfWork, tenant: Tenant) -> Mapping[Resource, int]:
    """Set each counter to what is there; repeating it changes nothing.

    Stored bytes are compared before anything is locked, and corrected by the difference. Then machines first and
    counters after them, as everybody locks them: what is counted while this runs waits, and is then added to a counter
    that is right. Machines whose last restore point has gone stop counting here.

    Returns:
        By how much counters were wrong, as found minus said; those that were right are absent.
    """
    await uow.counted.alone()
    bytes_wrong = await uow.counted.storage_drift()
    now = uow.clock.now()
    month = usage_month(now, tenant.anchor)
    machines = await uow.machines.many(await uow.counted.protected_machines(), lock=True)
    still = set(await uow.counted.protected_machines())
    # All counters in their order, before one of them changes: who takes two of them at once has that order, too.
    await uow.quota.held(month)
    await release_unprotected(uow, tenant, [machine.id for machine in machines if machine.id in still])
    said = await uow.quota.held(month)
    found = await uow.counted.places(month) | {Resource.STORAGE: max(0, said[Resource.STORAGE] + bytes_wrong)}
    drift: dict[Resource, int] = {}
    for resource, used in found.items():
        if used != said[resource]:
            await uow.quota.correct(resource, used, month)
            drift[resource] = used - said[resource]
    figures = {FIELDS[resource]: used for resource, used in found.items()}
    await uow.publish(UsageRecorded(measured_at=now, reconciled=True, **figures), subject=str(uow.tenant_id))
    await uow.tenants.usage_reconciled(now)
    return drift
