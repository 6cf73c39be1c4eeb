"""Ends impersonations whose time is over, each in a transaction of its own; their tokens ended with it already."""

import logging

from common.persistence import Store

from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.impersonate import end_impersonation

log = logging.getLogger(__name__)


async def end_overdue(store: Store[UnitOfWork]) -> int:
    """Timer of the worker; returns how many. One that fails keeps no other waiting."""
    async with store.for_system("janitor") as uow:
        overdue = await uow.impersonations.overdue(uow.clock.now())
    ended = 0
    for tenant_id, impersonation_id in overdue:
        try:
            async with store.for_tenant(tenant_id) as uow:
                await end_impersonation(uow, impersonation_id, by=None)
            ended += 1
        except Exception:
            log.exception("impersonation %s could not be ended", impersonation_id)
    return ended
