"""Deletes what has had its time, some rows of one table in a transaction."""

from datetime import timedelta

from common.persistence import Store

from tenancy.persistence.outlived import AT_ONCE, KEPT
from tenancy.persistence.unit_of_work import UnitOfWork


async def forget_outlived(store: Store[UnitOfWork], retention: timedelta) -> int:
    """Timer of the worker: delete what nobody can use any more, and sessions and invitations that ended longer ago than
    `retention`; return how many rows.
    """
    gone = 0
    for table in KEPT:
        went = AT_ONCE
        while went >= AT_ONCE:
            async with store.for_system("auth") as uow:
                went = await uow.outlived.forget(table, uow.clock.now(), retention)
            gone += went
    return gone
