"""A person of finance asks for a refund: a row with its keys that another person has to let go."""

from uuid import UUID, uuid4

from billing.domain.money import Money
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.plan import Method
from billing.domain.refund import WINDOW, Channel, Refund, RefundStatus
from billing.errors import PaymentNotRefundable, RefundTooLarge
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.held import held_payment
from billing.usecases.steps.refunding import add_refund, left_to_refund


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
        amount: In the currency that was charged; ``None`` for all that may go back.
        staff_id: The maker.
        reason: Printed on the credit note, and in the audit log.
        can_send: Whether this deployment can refund by the payment's provider.
        by_hand: Whether the money is sent by a person, though its provider could.

    Raises:
        PaymentNotFound: The tenant has no such payment.
        PaymentNotRefundable: It brought no money.
        RefundTooLarge: More than was captured and not refunded or asked for already, nor credited for time that a
            change of plan replaced, or than is left of it as credit.
    """
    order, payment = await held_payment(uow, payment_id)
    if payment.status not in {PaymentStatus.COMPLETED, PaymentStatus.REFUNDED} or payment.settled is None:
        raise PaymentNotRefundable(state=payment.status.value)
    captured = await left_to_refund(uow, order, payment)
    wanted = amount or captured.refundable
    parts = captured.split(wanted) if wanted.currency == payment.settled.currency else None
    if parts is None:
        raise RefundTooLarge(left=captured.refundable.decimal(), currency=captured.left.currency)
    refund = await add_refund(
        uow,
        Refund.of(
            payment,
            wanted,
            parts,
            channel=channel_of(payment, can_send=can_send, by_hand=by_hand, uow=uow),
            status=RefundStatus.REQUESTED,
            provider_reference=str(uuid4()) if payment.method is Method.MTN_MOMO else None,
            reason=reason,
            requested_by=staff_id,
            created_at=uow.clock.now(),
        ),
    )
    await uow.audit(
        "refund.requested",
        str(refund.id),
        actor=staff_id,
        reason=reason,
        details={"payment_id": str(payment.id), "amount": wanted.decimal(), "currency": wanted.currency},
    )
    return refund
