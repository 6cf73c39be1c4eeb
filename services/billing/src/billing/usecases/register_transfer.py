"""A person of finance registers a transfer that arrived and that no submitted payment waits for."""

from dataclasses import replace
from uuid import UUID

from billing.domain.money import Money
from billing.domain.order import UNPAID, OrderStatus
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.plan import Method
from billing.errors import OrderNotFound
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.attempting import attempt_of
from billing.usecases.steps.settlement import restate


async def register_transfer(uow: UnitOfWork, order_id: UUID, *, amount: Money, staff_id: UUID, reason: str) -> Payment:
    """Add a submitted transfer to an order in whatever state: money that came late, twice or unannounced.

    Its maker is the person of finance, so that another one approves it; only then is it money. What the order does not
    need becomes the customer's credit. What the customer has begun stays as it is.

    Args:
        uow: Open for the order's tenant.
        order_id: The order that the money was sent for.
        amount: What arrived, in the order's currency.
        staff_id: The maker.
        reason: For the audit log.

    Raises:
        OrderNotFound: The tenant has no such order.
    """
    order = await uow.orders.lock(order_id)
    if order is None:
        raise OrderNotFound
    former = await uow.payments.of_order(order.id)
    attempt = attempt_of(order, len(former) + 1, amount, Method.BANK_TRANSFER, PaymentStatus.SUBMITTED, uow.clock.now())
    payment = replace(attempt, submitted_by=staff_id)
    await uow.payments.add(payment)
    await restate(uow, order, OrderStatus.PAYMENT_PENDING if order.status in UNPAID else None)
    await uow.audit(
        "payment.transfer_registered",
        str(payment.id),
        actor=staff_id,
        reason=reason,
        details={"order_id": str(order.id), "amount": amount.decimal(), "currency": amount.currency},
    )
    return payment
