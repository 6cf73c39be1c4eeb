"""Cancel an unpaid order; its coupon is free again once no payment can pay it at the lower price any more."""

from uuid import UUID

from billing.domain.order import UNPAID, Order, OrderStatus
from billing.errors import OrderNotCancellable, OrderNotFound
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.settlement import restate


async def cancel_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Cancel an order. Cancelling a cancelled one changes nothing; money that arrives later still pays it.

    Raises:
        OrderNotFound: The tenant has no such order.
        OrderNotCancellable: It is paid, or one of its payments may still succeed.
    """
    order = await uow.orders.lock(order_id)
    if order is None:
        raise OrderNotFound
    if order.status is OrderStatus.CANCELLED:
        return order
    attempts = await uow.payments.of_order(order.id)
    if order.status not in UNPAID or order.allocated_minor or any(attempt.is_offered for attempt in attempts):
        raise OrderNotCancellable(state=order.status.value)
    await restate(uow, order, OrderStatus.CANCELLED)
    if not any(attempt.keeps_coupon for attempt in attempts):
        await uow.coupons.release(order)
    cancelled = await uow.orders.find(order.id)
    assert cancelled is not None
    return cancelled
