"""A person of finance lets a subscription go that a lost dispute holds; no money moves by it, and no time is given."""

from uuid import UUID

from billing.domain.dispute import Dispute, DisputeStatus
from billing.domain.invoice import Issuer
from billing.domain.money import Money
from billing.errors import DisputeLeavesDebt, DisputeNotFound, DisputeStateForbids, SamePersonLifts
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.held import held_payment
from billing.usecases.steps.holding import lift_lost
from billing.usecases.steps.unused_time import left_of


async def lift_dispute(uow: UnitOfWork, dispute_id: UUID, *, staff_id: UUID, reason: str, issuer: Issuer) -> Dispute:
    """Lift what a lost dispute or a reversal holds, once; other disputes hold on.

    The period whose money was all taken back ends, and what was paid for after it moves up: of what he has, only what
    is paid for remains. An open dispute is its provider's to decide.

    Args:
        uow: Open for the dispute's tenant.
        dispute_id: The dispute.
        staff_id: Who lifts it.
        reason: For the audit log.
        issuer: Who writes the mail.

    Raises:
        DisputeNotFound: The tenant has no such dispute.
        SamePersonLifts: It is about what this person has bought, or his organization's.
        DisputeStateForbids: It is open, won, or holds nothing any more.
        DisputeLeavesDebt: What was taken back had become credit before, which pays for what runs now.
    """
    found = await uow.disputes.get(dispute_id)
    if found is None:
        raise DisputeNotFound
    order, payment = await held_payment(uow, found.payment_id)
    if staff_id in {order.user_id, payment.user_id, await uow.organizations.owner(order.tenant_id)}:
        raise SamePersonLifts
    await uow.subscriptions.lock(order.tenant_id)
    dispute = await _known(uow, dispute_id)
    if dispute.status is not DisputeStatus.LOST or not dispute.holds:
        raise DisputeStateForbids(state=dispute.status.value)
    left = await left_of(uow, order)
    if left < Money.zero(left.currency):
        raise DisputeLeavesDebt(owed=(-left).decimal(), currency=left.currency)
    await uow.disputes.lift(dispute, staff_id)
    details = {"reference": dispute.reference, "payment_id": str(payment.id)}
    await uow.audit("dispute.lifted", str(dispute.id), actor=staff_id, reason=reason, details=details)
    await lift_lost(uow, order, payment, dispute, issuer)
    return await _known(uow, dispute_id)


async def _known(uow: UnitOfWork, dispute_id: UUID) -> Dispute:
    dispute = await uow.disputes.get(dispute_id)
    assert dispute is not None
    return dispute
