"""Deletes proofs and counts that have had their time, each table in a transaction of its own."""

from common.persistence import Store

from tenancy.persistence.outlived import KEPT
from tenancy.persistence.unit_of_work import UnitOfWork


async def forget_outlived(store: Store[UnitOfWork]) -> int:
    """Timer of the worker: delete what nobody can use any more; return how many rows."""
    gone = 0
    for table in KEPT:
        async with store.for_system("auth") as uow:
            gone += await uow.outlived.forget(table, uow.clock.now())
    return gone
