"""Cancel an order that nobody has paid in time; money that arrives later still pays it."""

from uuid import UUID

from billing.domain.order import UNPAID, OrderStatus
from billing.domain.payment import PaymentStatus
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.settlement import restate

HOLDING = frozenset({PaymentStatus.SUBMITTED, PaymentStatus.PROCESSING, PaymentStatus.QUARANTINED})
"""A payment in these states keeps its order: a person, or the provider, has the money in hand."""


async def expire_order(uow: UnitOfWork, order_id: UUID) -> bool:
    """Cancel an unpaid order whose time is over; its coupon is free again once no payment can pay it any more.

    An attempt that the customer never approved is superseded: it is not offered any more, and still watched.

    Returns:
        Whether the order was cancelled by this call.
    """
    order = await uow.orders.lock(order_id)
    if order is None or order.status not in UNPAID or order.allocated_minor:
        return False
    attempts = await uow.payments.of_order(order.id)
    if any(attempt.status in HOLDING for attempt in attempts):
        return False
    for attempt in attempts:
        if attempt.is_offered:
            await uow.payments.move(attempt, PaymentStatus.SUPERSEDED)
    await restate(uow, order, OrderStatus.CANCELLED)
    if not any(attempt.is_watched for attempt in attempts):
        await uow.coupons.release(order)
    return True
