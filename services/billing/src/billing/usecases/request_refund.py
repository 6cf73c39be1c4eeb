"""A person of finance asks for a refund: a row with its keys that another person has to let go."""

from uuid import UUID, uuid4

from common.ids import uuid7

from billing.domain.ledger import reserved_for_refund
from billing.domain.money import Money
from billing.domain.order import Order
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.plan import Method
from billing.domain.refund import WINDOW, Channel, Refund, RefundStatus
from billing.errors import PaymentNotFound, PaymentNotRefundable, RefundTooLarge
from billing.persistence.unit_of_work import UnitOfWork


async def _held(uow: UnitOfWork, payment_id: UUID) -> tuple[Order, Payment]:
    found = await uow.payments.find(payment_id)
    if found is None:
        raise PaymentNotFound
    order = await uow.orders.lock(found.order_id)
    payment = await uow.payments.lock(payment_id)
    assert order is not None
    assert payment is not None
    return order, payment


def channel_of(payment: Payment, *, can_send: bool, by_hand: bool, uow: UnitOfWork) -> Channel:
    """Return how a refund of a completed payment travels; after the provider's window only by hand."""
    window = WINDOW.get(payment.method)
    late = window is not None and payment.completed_at is not None and uow.clock.now() - payment.completed_at > window
    return Channel.BY_HAND if by_hand or late or not can_send else Channel.PROVIDER


async def request_refund(
    uow: UnitOfWork,
    payment_id: UUID,
    *,
    amount: Money | None,
    staff_id: UUID,
    reason: str,
    can_send: bool,
    by_hand: bool = False,
) -> Refund:
    """Add a refund of a completed payment; nothing is sent before another person has approved it.

    Args:
        uow: Open for the payment's tenant.
        payment_id: The payment.
        amount: In the currency that was charged; ``None`` for all that is left.
        staff_id: The maker.
        reason: Printed on the credit note, and in the audit log.
        can_send: Whether this deployment can refund by the payment's provider.
        by_hand: Whether the money is sent by a person, though its provider could.

    Raises:
        PaymentNotFound: The tenant has no such payment.
        PaymentNotRefundable: It brought no money.
        RefundTooLarge: More than was captured and not refunded or asked for already, or than is left of it as credit.
    """
    order, payment = await _held(uow, payment_id)
    if payment.status not in {PaymentStatus.COMPLETED, PaymentStatus.REFUNDED} or payment.settled is None:
        raise PaymentNotRefundable(status=payment.status.value)
    credit = await uow.ledger.hold_credit(payment.tenant_id, order.amounts.currency)
    captured = await uow.refunds.captured(
        payment, allocated_minor=await uow.payments.allocated(payment.id), credit=credit
    )
    wanted = amount or captured.left
    parts = captured.split(wanted) if wanted.currency == payment.settled.currency else None
    if parts is None:
        raise RefundTooLarge(left=captured.left.decimal(), currency=captured.left.currency)
    refund = await _added(
        uow, payment, wanted, parts, staff_id, reason, channel_of(payment, can_send=can_send, by_hand=by_hand, uow=uow)
    )
    await uow.audit(
        "refund.requested",
        str(refund.id),
        actor=staff_id,
        reason=reason,
        details={"payment_id": str(payment.id), "amount": wanted.decimal(), "currency": wanted.currency},
    )
    return refund


async def _added(
    uow: UnitOfWork,
    payment: Payment,
    amount: Money,
    parts: tuple[Money, Money],
    staff_id: UUID,
    reason: str,
    channel: Channel,
) -> Refund:
    refund_id = uuid7()
    from_order, from_credit = parts
    refund = Refund(
        tenant_id=payment.tenant_id,
        id=refund_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        method=payment.method,
        channel=channel,
        status=RefundStatus.REQUESTED,
        amount=amount,
        from_order=from_order,
        from_credit=from_credit,
        request_id=f"refund-{refund_id}-1",
        requests=1,
        provider_reference=str(uuid4()) if payment.method is Method.MTN_MOMO else None,
        refund_reference=None,
        reason=reason,
        reason_code=None,
        requested_by=staff_id,
        decided_by=None,
        polls=0,
        next_poll_at=None,
        created_at=uow.clock.now(),
        sent_at=None,
        completed_at=None,
    )
    await uow.refunds.add(refund)
    if from_credit:
        await uow.ledger.book(refund.tenant_id, reserved_for_refund(refund.id, from_credit))
    return refund
