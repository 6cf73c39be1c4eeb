"""Pay an order by the customer's credit alone, where that covers it."""

from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.order import UNPAID
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.credit import use_credit
from billing.usecases.steps.settlement import is_outdated, settle


async def pay_by_credit(uow: UnitOfWork, order_id: UUID, issuer: Issuer) -> bool:
    """Settle an unpaid order that credit covers; nothing happens to any other.

    Args:
        uow: Open for the order's tenant.
        order_id: The order.
        issuer: Who issues the invoice.

    Returns:
        Whether the order was settled by this call.
    """
    order = await uow.orders.lock(order_id)
    if order is None or order.status not in UNPAID:
        return False
    await uow.ledger.hold_credit(order.tenant_id, order.amounts.currency)
    if await is_outdated(uow, order, await uow.subscriptions.lock(order.tenant_id)):
        return False
    return await settle(uow, await use_credit(uow, order), issuer, None)
