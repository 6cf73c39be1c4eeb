"""Remind finance of a submitted transfer that nobody has approved or rejected: a case, once."""

from datetime import timedelta
from uuid import UUID

from billing.domain.payment import TRANSFER_WAITING, PaymentStatus
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.held import held_payment


async def remind_of_transfer(uow: UnitOfWork, payment_id: UUID, *, after: timedelta) -> bool:
    """Open a case about a transfer that still waits; one that finance has closed stays closed.

    Returns:
        Whether this call opened it.
    """
    order, payment = await held_payment(uow, payment_id)
    if payment.status is not PaymentStatus.SUBMITTED or payment.created_at > uow.clock.now() - after:
        return False
    details = {
        "order_number": order.number,
        "reference": payment.reference,
        "amount": payment.charged.decimal(),
        "currency": payment.charged.currency,
        "has_receipt": await uow.receipts.any_of(payment.id),
    }
    return await uow.cases.open(payment, TRANSFER_WAITING, details)
