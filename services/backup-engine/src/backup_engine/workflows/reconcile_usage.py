"""Every six hours per organization: its counters say what is there. One after the other, each in its transaction."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from common.persistence import Store
from prometheus_client import Counter

from backup_engine.persistence.queue import usage_unreconciled
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.usecases.reconcile_usage import reconcile_usage

log = logging.getLogger(__name__)

EVERY = timedelta(hours=6)
"""How old a comparison may become."""
AT_ONCE = 500
"""Organizations of one turn; the next turn takes the others."""
DRIFT = Counter("usage_counters_corrected_total", "Quota counters that did not say what was there", ["resource"])


@dataclass(frozen=True, slots=True)
class UsageReconciler:
    """Timer of the worker. What a turn did not reach, the next one finds due."""

    store: Store[UnitOfWork]
    every: timedelta = EVERY

    async def turn(self) -> int:
        """Compare what is due; return how many counters were wrong. One that fails keeps no other waiting."""
        async with self.store.for_system("reconciler") as uow:
            due = await usage_unreconciled(uow, uow.clock.now() - self.every, AT_ONCE)
        wrong = 0
        for tenant_id in due:
            try:
                wrong += await self._one(tenant_id)
            except Exception:
                log.exception("usage of organization %s could not be reconciled", tenant_id)
        return wrong

    async def _one(self, tenant_id: UUID) -> int:
        async with self.store.for_tenant(tenant_id) as uow:
            drift = await reconcile_usage(uow, await uow.tenants.get())
        for resource, difference in drift.items():
            DRIFT.labels(str(resource)).inc()
            log.warning("usage of %s: counter of %s was wrong by %d", tenant_id, resource, difference)
        return len(drift)
