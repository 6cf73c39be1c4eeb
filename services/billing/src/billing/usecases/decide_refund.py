"""Another person of finance lets a refund go, or does not; by hand, whoever sent the money records where it went."""

from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.refund import SENT, Channel, Refund, RefundStatus
from billing.errors import RefundReferenceKnown, RefundStateForbids, SamePersonRefunds
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.held import held_refund
from billing.usecases.steps.refunding import complete, give_up


async def decide_refund(uow: UnitOfWork, refund_id: UUID, *, approve: bool, staff_id: UUID, reason: str) -> Refund:
    """Approve or reject a requested refund, once. An approved one is due to be sent at once, unless it goes by hand.

    Args:
        uow: Open for the refund's tenant.
        refund_id: The refund.
        approve: Whether it may go.
        staff_id: The checker.
        reason: For the audit log.

    Raises:
        RefundNotFound: The tenant has no such refund.
        RefundStateForbids: It was decided before.
        SamePersonRefunds: The checker is its maker, or the buyer whom it goes to.
    """
    order, _payment, refund = await held_refund(uow, refund_id)
    if refund.status is not RefundStatus.REQUESTED:
        raise RefundStateForbids(state=refund.status.value)
    if approve and staff_id in {refund.requested_by, order.user_id}:
        raise SamePersonRefunds
    if approve:
        due = uow.clock.now() if refund.channel is Channel.PROVIDER else None
        await uow.refunds.move(refund, RefundStatus.APPROVED, decided_by=staff_id, next_poll_at=due)
    else:
        # Its own maker may take it back; he is not named as the one who decided, for nobody checked anything.
        decided_by = None if staff_id == refund.requested_by else staff_id
        await give_up(uow, refund, RefundStatus.REJECTED, decided_by=decided_by)
    await uow.audit("refund.approved" if approve else "refund.rejected", str(refund.id), actor=staff_id, reason=reason)
    return await _now(uow, refund)


async def record_refund(
    uow: UnitOfWork, refund_id: UUID, *, reference: str, staff_id: UUID, reason: str, issuer: Issuer
) -> Refund:
    """Complete an approved refund that a person has sent by hand.

    Args:
        uow: Open for the refund's tenant.
        refund_id: The refund.
        reference: Of that movement of money; one movement completes one refund.
        staff_id: Who sent it.
        reason: For the audit log.
        issuer: Who issues the credit note.

    Raises:
        RefundNotFound: The tenant has no such refund.
        RefundStateForbids: It is not approved, not by hand, or complete already.
        RefundReferenceKnown: The reference is another refund's.
    """
    order, payment, refund = await held_refund(uow, refund_id)
    if refund.channel is not Channel.BY_HAND or refund.status not in SENT:
        raise RefundStateForbids(state=refund.status.value)
    if not await complete(uow, order, payment, refund, issuer, reference=reference):
        raise RefundReferenceKnown
    await uow.audit("refund.recorded", str(refund.id), actor=staff_id, reason=reason, details={"reference": reference})
    return await _now(uow, refund)


async def _now(uow: UnitOfWork, refund: Refund) -> Refund:
    changed = await uow.refunds.find(refund.id)
    assert changed is not None
    return changed
