"""Apply what a provider says about a dispute, or about money that left without us: local, one transaction, once."""

from uuid import UUID, uuid4

from common.ids import uuid7

from billing.domain.dispute import ASK_EVERY, Dispute, DisputeKind, DisputeStatus
from billing.domain.invoice import Issuer
from billing.domain.order import Order
from billing.domain.payment import Payment
from billing.domain.refund import Channel, Refund, RefundStatus
from billing.persistence.unit_of_work import UnitOfWork
from billing.ports import DisputeState, ProviderStatus, RefundState
from billing.usecases.steps.held import held_payment
from billing.usecases.steps.holding import hold, hold_lost, lift
from billing.usecases.steps.mails import dispute_lost
from billing.usecases.steps.refunding import add_refund, complete, left_to_refund
from billing.usecases.steps.unused_time import credited


def _status(state: DisputeState) -> DisputeStatus:
    return {
        ProviderStatus.COMPLETED: DisputeStatus.WON,
        ProviderStatus.FAILED: DisputeStatus.LOST,
    }.get(state.status, DisputeStatus.OPEN)


async def apply_dispute(uow: UnitOfWork, payment_id: UUID, state: DisputeState, *, issuer: Issuer) -> bool:
    """Open or resolve a dispute as its provider has just told us; the same news again changes nothing.

    An open one suspends the subscription with notice and opens a case; one that ends in our favour lifts that again,
    and one that we lose holds it, also with notice, until finance lifts it (`lift_dispute`) or it ends.

    Args:
        uow: Open for the payment's tenant.
        payment_id: The payment.
        state: As read from the provider, never from a webhook's body.
        issuer: Who writes the mails.

    Returns:
        Whether anything changed; False also where the dispute is about another payment.
    """
    order, payment = await held_payment(uow, payment_id)
    if payment.receipt_reference is None or payment.receipt_reference not in state.captures:
        return False
    status, now = _status(state), uow.clock.now()
    await uow.subscriptions.lock(order.tenant_id)  # before rows of disputes, which its end writes too
    known = await uow.disputes.find(payment.id, state.reference)
    if known is not None and (known.status is status or known.status is not DisputeStatus.OPEN):
        return False
    dispute = known or Dispute(
        tenant_id=payment.tenant_id,
        id=uuid7(),
        payment_id=payment.id,
        kind=DisputeKind.DISPUTE,
        reference=state.reference,
        status=DisputeStatus.OPEN,
        reason=state.reason,
        amount=state.amount,
        opened_at=now,
        resolved_at=None,
        next_poll_at=now + ASK_EVERY,
    )
    if known is None:
        await uow.disputes.add(dispute)
        details = {"reference": state.reference, "reason": state.reason, "said": state.provider_status}
        await uow.cases.open(payment, "dispute", details, reference=state.reference)
        await hold(uow, order, payment, dispute, issuer)
    if status is not DisputeStatus.OPEN:
        await uow.disputes.resolve(dispute, status)
        if status is DisputeStatus.WON:
            await lift(uow, order, payment, dispute, issuer)
        else:
            await hold_lost(uow)
            await uow.send_mail(dispute_lost(order, payment, dispute, issuer))
    return True


async def apply_movements(
    uow: UnitOfWork, payment_id: UUID, movements: list[RefundState], *, reversed_: bool, issuer: Issuer
) -> int:
    """Book money that its provider gave back without us: a refund made in its back office, a reversal.

    Each movement is found by the provider's number, so that however many webhooks tell of it, it is booked once; what
    our own refunds sent is theirs to book. A reversal suspends the subscription; a refund does as one of ours.

    Args:
        uow: Open for the payment's tenant.
        payment_id: The payment.
        movements: Every refund that the provider names for it, freshly read.
        reversed_: Whether its provider took the money, rather than a person of ours.
        issuer: Who issues credit notes and writes the mails.

    Returns:
        How many were booked.
    """
    order, payment = await held_payment(uow, payment_id)
    refunds = await uow.refunds.of_payment(payment.id)
    ours = {refund.id for refund in refunds}
    known = {refund.refund_reference for refund in refunds}
    booked, seen = 0, []
    for movement in movements:
        if movement.status is not ProviderStatus.COMPLETED or movement.refund_id in ours:
            continue
        if movement.refund_reference is None or movement.refund_reference in known or movement.amount is None:
            continue
        seen.append(movement)
        booked += await _book(uow, payment, movement, reversed_=reversed_, issuer=issuer)
    if seen and reversed_:
        await _suspend_for_reversal(uow, order, payment, seen, issuer)
    return booked


async def _book(uow: UnitOfWork, payment: Payment, movement: RefundState, *, reversed_: bool, issuer: Issuer) -> bool:
    assert movement.amount is not None
    order = await uow.orders.lock(payment.order_id)
    assert order is not None
    kind = "reversal" if reversed_ else "refund_seen"
    details = {"reference": movement.refund_reference, "amount": str(movement.amount)}
    if given := await credited(uow, order):
        details["credited"] = str(given)
    refund = await _row(uow, order, payment, movement, kind)
    if refund is None:
        # More than we have of it: a person has to see which of the two ledgers is right.
        await uow.cases.open(payment, "refund_unbooked", details, reference=movement.refund_reference or "")
        return False
    await uow.cases.open(payment, kind, details, reference=movement.refund_reference or "")
    return await complete(
        uow, order, payment, refund, issuer, reference=movement.refund_reference, keeps_period=reversed_
    )


async def _row(uow: UnitOfWork, order: Order, payment: Payment, movement: RefundState, reason: str) -> Refund | None:
    assert movement.amount is not None
    if payment.settled is None or movement.amount.currency != payment.settled.currency:
        return None
    parts = (await left_to_refund(uow, order, payment)).split(movement.amount, has_left=True)
    if parts is None:
        return None
    now = uow.clock.now()
    return await add_refund(
        uow,
        Refund.of(
            payment,
            movement.amount,
            parts,
            channel=Channel.ELSEWHERE,
            status=RefundStatus.APPROVED,
            refund_reference=movement.refund_reference,
            reason=reason,
            created_at=now,
            sent_at=now,
        ),
    )


async def _suspend_for_reversal(
    uow: UnitOfWork, order: Order, payment: Payment, movements: list[RefundState], issuer: Issuer
) -> None:
    await uow.subscriptions.lock(order.tenant_id)  # before rows of disputes, which its end writes too
    known = await uow.disputes.of_payment(payment.id)
    movement = movements[-1]
    if any(dispute.holds or dispute.reference == movement.refund_reference for dispute in known):
        # The dispute that it ends has suspended already, and says that we lost once it is read.
        return
    now = uow.clock.now()
    dispute = Dispute(
        tenant_id=payment.tenant_id,
        id=uuid7(),
        payment_id=payment.id,
        kind=DisputeKind.REVERSAL,
        reference=movement.refund_reference or str(uuid4()),
        status=DisputeStatus.LOST,
        reason="reversal",
        amount=movement.amount,
        opened_at=now,
        resolved_at=now,
        next_poll_at=None,
    )
    await uow.disputes.add(dispute)
    await hold(uow, order, payment, dispute, issuer)
    await hold_lost(uow)
