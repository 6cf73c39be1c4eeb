"""Apply what a provider says about a refund: local, one transaction, the same result however often and late."""

from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.payment import Payment
from billing.domain.refund import ESCALATE_AFTER, SENT, Refund, RefundStatus
from billing.persistence.unit_of_work import UnitOfWork
from billing.ports import ProviderStatus, RefundState
from billing.usecases.steps.held import held_refund
from billing.usecases.steps.refunding import complete, give_up


async def _case(uow: UnitOfWork, payment: Payment, refund: Refund, kind: str, state: RefundState) -> None:
    details = {"refund_id": str(refund.id), "said": state.provider_status, "reason_code": state.reason_code}
    await uow.cases.open(payment, kind, details, reference=str(refund.id))


def _differs(refund: Refund, state: RefundState) -> str | None:
    """Return which fact a provider states otherwise than we asked for it."""
    if state.amount is not None and state.amount != refund.amount:
        return "amount"
    return "refund_id" if state.refund_id not in {None, refund.id} else None


async def apply_refund_state(uow: UnitOfWork, refund_id: UUID, state: RefundState, *, issuer: Issuer) -> None:
    """Apply one observation of a refund; what cannot be taken as it is becomes a case for a person.

    Raises:
        RefundNotFound: The tenant has no such refund.
    """
    order, payment, refund = await held_refund(uow, refund_id)
    if refund.status not in SENT:
        if state.status is ProviderStatus.COMPLETED and refund.status is not RefundStatus.COMPLETED:
            await _case(uow, payment, refund, "refund_after_all", state)
        return
    if state.needs_operator:
        await _case(uow, payment, refund, "refund_held", state)
    if (differs := _differs(refund, state)) is not None:
        await _case(uow, payment, refund, "refund_differs", state)
        await uow.refunds.move(refund, RefundStatus.UNKNOWN, reason_code=differs)
        return
    if state.status is ProviderStatus.COMPLETED:
        if not await complete(uow, order, payment, refund, issuer, reference=state.refund_reference):
            await _case(uow, payment, refund, "refund_reference_known", state)
        return
    columns = {"reason_code": state.reason_code}
    if state.refund_reference and refund.refund_reference is None:
        columns["refund_reference"] = state.refund_reference
    if state.status is ProviderStatus.FAILED:
        await give_up(uow, refund, RefundStatus.FAILED, **columns)
        await _case(uow, payment, refund, "refund_failed", state)
        return
    pending = {ProviderStatus.PENDING, ProviderStatus.PROCESSING}
    wanted = RefundStatus.PROCESSING if state.status in pending else RefundStatus.UNKNOWN
    await uow.refunds.move(refund, wanted, **columns)
    if uow.clock.now() - (refund.sent_at or refund.created_at) > ESCALATE_AFTER:
        await _case(uow, payment, refund, "refund_overdue", state)
