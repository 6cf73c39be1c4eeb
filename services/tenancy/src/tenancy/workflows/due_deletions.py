"""Deletes the organizations whose grace is over, each in a transaction of its own."""

import logging
from dataclasses import dataclass

from common.persistence import Store

from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.delete_organization import delete_organization

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DueDeletions:
    """Timer of the worker."""

    store: Store[UnitOfWork]
    letters: Letters

    async def turn(self) -> int:
        """Delete what is due; return how many. One that fails keeps no other waiting."""
        async with self.store.for_system("janitor") as uow:
            due = await uow.organizations.due_for_deletion(uow.clock.now())
        deleted = 0
        for tenant_id in due:
            try:
                async with self.store.for_tenant(tenant_id) as uow:
                    deleted += await delete_organization(uow, self.letters, reason="asked_for")
            except Exception:
                log.exception("organization %s could not be deleted", tenant_id)
        return deleted
