"""A person of finance says whether a bank transfer arrived: once, from ``submitted``, and not its own maker."""

from uuid import UUID

from sqlalchemy.exc import IntegrityError

from billing.domain.invoice import Issuer
from billing.domain.order import UNPAID, Order, OrderStatus
from billing.domain.payment import TRANSFER_OVERDUE, TRANSFER_WAITING, Payment, PaymentStatus, SeenAtBank
from billing.domain.plan import Method
from billing.errors import MovementTaken, PaymentNotSubmitted, RejectionWithoutNote, SamePersonApproves
from billing.events import PaymentFailed
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.held import held_payment
from billing.usecases.steps.mails import transfer_rejected
from billing.usecases.steps.settlement import restate, settle, take_in


async def _submitted(uow: UnitOfWork, payment_id: UUID, staff_id: UUID) -> tuple[Order, Payment]:
    order, payment = await held_payment(uow, payment_id)
    if payment.method is not Method.BANK_TRANSFER or payment.status is not PaymentStatus.SUBMITTED:
        raise PaymentNotSubmitted(state=payment.status.value)
    if staff_id in {payment.submitted_by, payment.user_id}:
        raise SamePersonApproves
    return order, payment


async def approve_transfer(
    uow: UnitOfWork,
    payment_id: UUID,
    *,
    staff_id: UUID,
    seen: SeenAtBank,
    note: str,
    issuer: Issuer,
    movement: str | None = None,
) -> Payment:
    """Take the money of a submitted transfer in: less than due leaves the order open, more becomes credit.

    Args:
        uow: Open for the payment's tenant.
        payment_id: The transfer.
        staff_id: The checker.
        seen: What the bank shows, kept with the payment and in the audit log.
        note: What else there is to say, or nothing: the movement says what the money is. Kept alike.
        issuer: Who issues the invoice.
        movement: The movement of money that it is, such as a line of a statement; one of each pays one transfer.

    Raises:
        PaymentNotFound: No such payment in this tenant.
        PaymentNotSubmitted: It is no transfer, or was checked before.
        SamePersonApproves: The checker is its maker, or the buyer of its order.
        MovementTaken: Another transfer was said to be this movement.
    """
    order, payment = await _submitted(uow, payment_id, staff_id)
    arrived = seen.amount or payment.charged
    try:
        async with uow.session.begin_nested():
            await uow.payments.move(
                payment,
                PaymentStatus.COMPLETED,
                settled_minor=arrived.amount_minor,
                settled_currency=arrived.currency,
                approved_by=staff_id,
                note=note,
                receipt_reference=movement,
                bank_reference=seen.reference,
                value_on=seen.value_on,
                reason_code=None,
                completed_at=uow.clock.now(),
            )
    except IntegrityError:
        raise MovementTaken(bank_reference=seen.reference) from None
    await _answered(uow, payment, staff_id, note or "approved")
    order = await take_in(uow, order, payment, arrived, arrived, issuer)
    if not await settle(uow, order, issuer, payment):
        await restate(uow, order)
    await uow.audit(
        "payment.transfer_approved",
        str(payment.id),
        actor=staff_id,
        reason=note,
        details={
            "amount": arrived.decimal(),
            "currency": arrived.currency,
            "bank_reference": seen.reference,
            "value_date": seen.value_on.isoformat() if seen.value_on else None,
        },
    )
    return await _now(uow, payment)


async def reject_transfer(uow: UnitOfWork, payment_id: UUID, *, staff_id: UUID, note: str, issuer: Issuer) -> Payment:
    """Fail a submitted transfer that did not arrive; the order may be paid otherwise.

    Raises:
        RejectionWithoutNote: Nothing is said that the customer could be told.
        PaymentNotFound: No such payment in this tenant.
        PaymentNotSubmitted: It is no transfer, or was checked before.
        SamePersonApproves: The checker is its maker, or the buyer of its order.
    """
    if not note.strip():
        raise RejectionWithoutNote
    order, payment = await _submitted(uow, payment_id, staff_id)
    await uow.payments.move(
        payment, PaymentStatus.FAILED, approved_by=staff_id, note=note, reason_code="transfer_rejected"
    )
    await _answered(uow, payment, staff_id, note)
    watched = any(attempt.is_watched for attempt in await uow.payments.of_order(order.id))
    dies = order.status in UNPAID and not watched and not order.allocated_minor
    await restate(uow, order, OrderStatus.FAILED if dies else None)
    await uow.audit("payment.transfer_rejected", str(payment.id), actor=staff_id, reason=note)
    rejected = await _now(uow, payment)
    await uow.publish(PaymentFailed.of(order, rejected), subject=str(payment.id))
    await uow.send_mail(transfer_rejected(order, payment, note, issuer))
    return rejected


async def _answered(uow: UnitOfWork, payment: Payment, staff_id: UUID, note: str) -> None:
    """Close what reminded finance of the transfer."""
    await uow.cases.close_of(payment, (TRANSFER_WAITING, TRANSFER_OVERDUE), by=staff_id, note=note)


async def _now(uow: UnitOfWork, payment: Payment) -> Payment:
    changed = await uow.payments.find(payment.id)
    assert changed is not None
    return changed
