"""The customer's credit pays what an order still needs; the order is locked.

Credit comes from surplus, late and double payments and from refunded orders that credit had paid (``domain.ledger``).
It is spent whole or not at all at settlement, so that an order that is never paid holds none of it back.
"""

from billing.domain.ledger import used_credit
from billing.domain.money import Money
from billing.domain.order import SETTLED, Order
from billing.persistence.unit_of_work import UnitOfWork


async def use_credit(uow: UnitOfWork, order: Order) -> Order:
    """Pay the rest of a locked order by credit where there is enough of it; a second time changes nothing.

    Returns:
        The order with what it has received now.
    """
    due = order.outstanding
    if not due or order.status in SETTLED:
        return order
    if await uow.ledger.hold_credit(order.tenant_id, due.currency) < due:
        return order
    if not await uow.ledger.book(order.tenant_id, used_credit(order.id, due)):
        return order
    await uow.orders.allocate(order, due)
    paid = await uow.orders.lock(order.id)
    assert paid is not None
    return paid


async def due_beside_credit(uow: UnitOfWork, order: Order) -> Money:
    """Return what an attempt asks for: what credit does not pay; all, where credit alone would."""
    due = order.outstanding
    credit = await uow.ledger.hold_credit(order.tenant_id, due.currency)
    return due - credit if Money.zero(due.currency) < credit < due else due
