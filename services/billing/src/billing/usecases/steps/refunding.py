"""What follows when money has gone back, or will not: ledger, credit note, states, the period, the fact and the mail.

All in the caller's transaction, with order, payment and refund locked in this order.
"""

import logging
from typing import Any

from sqlalchemy.exc import IntegrityError

from billing.domain.credit_note import CreditNote
from billing.domain.invoice import Issuer
from billing.domain.ledger import (
    Account,
    EntryKind,
    refunded,
    released_from_refund,
    reserved_for_refund,
    returned_credit,
)
from billing.domain.money import Money
from billing.domain.order import SETTLED, Order, OrderPaymentStatus, OrderStatus
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.refund import Captured, Refund, RefundStatus
from billing.events import PaymentRefunded
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.crediting import add_credit_note
from billing.usecases.steps.ending import end_refunded_period
from billing.usecases.steps.mails import refund_sent
from billing.usecases.steps.settlement import restate
from billing.usecases.steps.unused_time import left_of

log = logging.getLogger(__name__)


async def left_to_refund(uow: UnitOfWork, order: Order, payment: Payment) -> Captured:
    """Return what may still go back of a completed payment; payment and the customer's credit are held from here on.

    So is the subscription: a change of plan that credits the order's unused time waits, and finds what is refunded.
    """
    credit = await uow.ledger.hold_credit(payment.tenant_id, order.amounts.currency)
    await uow.subscriptions.lock(order.tenant_id)
    allocated = await uow.payments.allocated(payment.id)
    invoice = await uow.invoices.of_order(order.id)
    kept = await uow.credit_notes.kept(invoice.id) if invoice else 0
    return await uow.refunds.captured(
        payment,
        allocated_minor=allocated,
        credit=credit,
        order_left=await left_of(uow, order),
        kept=Money(max(kept - await _kept_elsewhere(uow, payment), 0), order.amounts.currency),
    )


async def _kept_elsewhere(uow: UnitOfWork, payment: Payment) -> int:
    """Return what refunds of the order's other payments took of its kept credit, beyond what each brought too much."""
    taken, elsewhere = await uow.refunds.from_credit(payment.order_id), 0
    for other in await uow.payments.of_order(payment.order_id):
        if other.id != payment.id and other.id in taken:
            surplus = other.worth.amount_minor - await uow.payments.allocated(other.id)
            elsewhere += max(taken[other.id] - surplus, 0)
    return elsewhere


async def add_refund(uow: UnitOfWork, refund: Refund) -> Refund:
    """Add a refund; what it takes of the customer's credit is set aside, so that no order spends it meanwhile."""
    await uow.refunds.add(refund)
    if refund.from_credit:
        await uow.ledger.book(refund.tenant_id, reserved_for_refund(refund.id, refund.from_credit))
    return refund


async def give_up(uow: UnitOfWork, refund: Refund, status: RefundStatus, **columns: Any) -> bool:
    """Reject or fail a locked refund: what it took from the customer's credit is his again."""
    moved = await uow.refunds.move(refund, status, **columns)
    if moved and refund.from_credit:
        await uow.ledger.book(refund.tenant_id, released_from_refund(refund.id, refund.from_credit))
    return moved


async def _credit_to_return(uow: UnitOfWork, order: Order, refund: Refund) -> Money:
    """Return the credit that paid for an order, where this refund is the last of the money that did."""
    posted = await uow.ledger.posted(EntryKind.CREDIT_USED, order.id, Account.CUSTOMER_CREDIT)
    used = posted[0] if posted else Money.zero(order.amounts.currency)
    money_in = order.allocated_minor - used.amount_minor
    is_last = order.refunded_minor + refund.from_order.amount_minor == money_in
    if not is_last or not used:
        return Money.zero(used.currency)
    # What was credited for unused time is the customer's already. This refund is among those that have left by now.
    await uow.subscriptions.lock(order.tenant_id)
    left = await left_of(uow, order) - refund.from_order
    return max(min(used, left), Money.zero(used.currency))


async def _take_from_order(uow: UnitOfWork, order: Order, refund: Refund, issuer: Issuer) -> CreditNote | None:
    if not refund.from_order:
        return None
    nothing = Money.zero(refund.from_order.currency)
    if order.status not in SETTLED:
        await uow.orders.take_back(order, allocated=refund.from_order, refunded=nothing)
        return None
    returned = await _credit_to_return(uow, order, refund)
    await uow.orders.take_back(order, allocated=nothing, refunded=refund.from_order + returned)
    if returned:
        await uow.ledger.book(order.tenant_id, returned_credit(order.id, returned))
    invoice = await uow.invoices.of_order(order.id)
    assert invoice is not None
    # What a provider took back beyond the invoice, for it was credited before, is what the customer owes us.
    left = invoice.amounts.total - Money(await uow.credit_notes.credited(invoice.id), nothing.currency)
    total = min(refund.from_order + returned, left)
    if total <= nothing:
        return None
    return await add_credit_note(
        uow, invoice, total, issuer, reason=_printed(refund.reason, order.language), refund_id=refund.id
    )


_ELSEWHERE = {
    "reversal": ("Paiement repris par son fournisseur", "Payment taken back by its provider"),
    "refund_seen": ("Paiement remboursé par son fournisseur", "Payment refunded by its provider"),
}
"""What is printed for a refund that nobody of ours has given a reason for."""


def _printed(reason: str, language: str) -> str:
    return _ELSEWHERE[reason][language == "en"] if reason in _ELSEWHERE else reason


async def complete(
    uow: UnitOfWork,
    order: Order,
    payment: Payment,
    refund: Refund,
    issuer: Issuer,
    *,
    reference: str | None,
    keeps_period: bool = False,
) -> bool:
    """Book a refund whose money has left, once.

    A settled order gets a credit note; once all of it went back it is refunded, and its period ends if it is the
    running one. An unsettled order has received less from now on and may be paid again.

    Args:
        uow: Open for the refund's tenant.
        order: Locked.
        payment: Locked.
        refund: Locked.
        issuer: Who issues the credit note.
        reference: The provider's, or our bank's, of the movement of money.
        keeps_period: Whether the subscription is suspended (a reversal) instead of ended.

    Returns:
        False where the reference is another refund's, or this one is final already; nothing has changed then.
    """
    try:
        async with uow.session.begin_nested():
            moved = await uow.refunds.move(
                refund,
                RefundStatus.COMPLETED,
                refund_reference=reference or refund.refund_reference,
                completed_at=uow.clock.now(),
                reason_code=None,
            )
    except IntegrityError:
        return False
    if not moved:
        return False
    note = await _take_from_order(uow, order, refund, issuer)
    entry = refunded(refund.id, refund.method, refund.amount, refund.from_order, refund.from_credit)
    await uow.ledger.book(refund.tenant_id, entry)
    assert payment.settled is not None
    if await uow.refunds.completed_of(payment.id) >= payment.settled.amount_minor:
        await uow.payments.move(payment, PaymentStatus.REFUNDED)
    ended = await _restated(uow, order, keeps_period=keeps_period)
    log.info("refund completed", extra={"refund_id": str(refund.id), "order_id": str(order.id)})
    await uow.publish(PaymentRefunded.of(order, refund, note, ends_period=ended), subject=str(order.id))
    await uow.send_mail(refund_sent(order, refund, note, issuer, taken=keeps_period))
    return True


async def _restated(uow: UnitOfWork, before: Order, *, keeps_period: bool) -> bool:
    """Let the order say what went back; returns whether that ended the running period."""
    order = await uow.orders.lock(before.id)
    assert order is not None
    if order.status in SETTLED and order.refunded_minor and order.refunded_minor == order.allocated_minor:
        await uow.orders.move(order, OrderStatus.REFUNDED, OrderPaymentStatus.REFUNDED)
        return not keeps_period and await end_refunded_period(uow, order)
    await restate(uow, order)
    return False
