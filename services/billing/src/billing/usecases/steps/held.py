"""The row that a decision about money is made on, held for update with all that must not move under it.

Locks go order → payment → refund, here as everywhere.
"""

from uuid import UUID

from billing.domain.order import Order
from billing.domain.payment import Payment
from billing.domain.refund import Refund
from billing.errors import PaymentNotFound, RefundNotFound
from billing.persistence.unit_of_work import UnitOfWork


async def held_payment(uow: UnitOfWork, payment_id: UUID) -> tuple[Order, Payment]:
    """Return a payment and its order, both held.

    Raises:
        PaymentNotFound: The tenant has no such payment.
    """
    found = await uow.payments.find(payment_id)
    if found is None:
        raise PaymentNotFound
    order = await uow.orders.lock(found.order_id)
    payment = await uow.payments.lock(payment_id)
    assert order is not None
    assert payment is not None
    return order, payment


async def held_refund(uow: UnitOfWork, refund_id: UUID) -> tuple[Order, Payment, Refund]:
    """Return a refund with its payment and order, all held.

    Raises:
        RefundNotFound: The tenant has no such refund.
    """
    found = await uow.refunds.find(refund_id)
    if found is None:
        raise RefundNotFound
    order, payment = await held_payment(uow, found.payment_id)
    refund = await uow.refunds.lock(refund_id)
    assert refund is not None
    return order, payment, refund
