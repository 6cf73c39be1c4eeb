"""Cancel an order that nobody has paid in time; money that arrives later still pays it."""

from datetime import timedelta
from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.order import UNPAID, Order, OrderStatus
from billing.domain.payment import TRANSFER_OVERDUE, Payment, PaymentStatus
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.mails import transfer_overdue
from billing.usecases.steps.settlement import restate

HOLDING = frozenset({PaymentStatus.PROCESSING, PaymentStatus.QUARANTINED})
"""A payment in these states keeps its order: a person, or the provider, has the money in hand."""


async def expire_order(uow: UnitOfWork, order_id: UUID, *, give_up: timedelta, issuer: Issuer) -> bool:
    """Cancel an unpaid order whose time is over; its coupon is free again once no payment keeps it any more.

    An attempt that the customer never approved is superseded: it is not offered any more, and still watched. A
    submitted transfer keeps its order while it is younger than ``give_up``. After that the order is cancelled, the
    coupon's use given back, finance has a case and the customer a mail; the transfer stays submitted: whenever it is
    found, it is approved and pays the order at its price.

    Returns:
        Whether the order was cancelled by this call.
    """
    order = await uow.orders.lock(order_id)
    if order is None or order.status not in UNPAID or order.allocated_minor:
        return False
    attempts = await uow.payments.of_order(order.id)
    patient_since = uow.clock.now() - give_up
    for attempt in attempts:
        is_young = attempt.status is PaymentStatus.SUBMITTED and attempt.created_at > patient_since
        if is_young or attempt.status in HOLDING:
            return False
    for attempt in attempts:
        if attempt.status is PaymentStatus.SUBMITTED:
            await _give_up(uow, order, attempt, issuer)
        elif attempt.is_offered:
            await uow.payments.move(attempt, PaymentStatus.SUPERSEDED)
    await restate(uow, order, OrderStatus.CANCELLED)
    if not any(attempt.keeps_coupon for attempt in await uow.payments.of_order(order.id)):
        await uow.coupons.release(order)
    return True


async def _give_up(uow: UnitOfWork, order: Order, transfer: Payment, issuer: Issuer) -> None:
    await uow.payments.move(transfer, transfer.status, reason_code=TRANSFER_OVERDUE)
    has_receipt = await uow.receipts.any_of(transfer.id)
    details = {"order_number": order.number, "reference": transfer.reference, "has_receipt": has_receipt}
    await uow.cases.open(transfer, TRANSFER_OVERDUE, details)
    await uow.send_mail(transfer_overdue(order, transfer, issuer))
