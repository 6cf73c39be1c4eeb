"""Apply what a provider says about an attempt: local, one transaction, the same result however often and late."""

import logging
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from billing.domain.invoice import Issuer
from billing.domain.order import UNPAID, Order, OrderStatus
from billing.domain.payment import Payment, PaymentStatus
from billing.events import PaymentFailed
from billing.persistence.unit_of_work import UnitOfWork
from billing.ports import AttemptView, ProviderState, ProviderStatus
from billing.usecases.steps.mails import payment_failed
from billing.usecases.steps.settlement import restate, settle, take_in

log = logging.getLogger(__name__)


FINAL = frozenset({PaymentStatus.COMPLETED, PaymentStatus.REFUNDED})
"""States whose story is told: later news of why it might have failed is of no use to anybody."""


def _wanted(payment: Payment, state: ProviderState) -> PaymentStatus:
    if state.status is ProviderStatus.PENDING:
        # A payer who has not approved yet is «pending», but no state goes back: after «unknown» it is «processing».
        return PaymentStatus.PROCESSING if payment.status is PaymentStatus.UNKNOWN else PaymentStatus.PENDING
    return {
        ProviderStatus.PROCESSING: PaymentStatus.PROCESSING,
        ProviderStatus.UNKNOWN: PaymentStatus.UNKNOWN,
        ProviderStatus.FAILED: PaymentStatus.FAILED,
        ProviderStatus.COMPLETED: PaymentStatus.COMPLETED,
    }[state.status]


def _learned(payment: Payment, state: ProviderState) -> dict[str, Any]:
    """Return the columns that are news, whatever the state does."""
    columns: dict[str, Any] = {}
    if payment.status in FINAL:
        return columns
    if payment.provider_reference is None and state.provider_reference:
        columns["provider_reference"] = state.provider_reference
    if state.redirect_url and state.redirect_url != payment.redirect_url:
        columns["redirect_url"] = state.redirect_url
    if state.reason_code and state.status is not ProviderStatus.COMPLETED:
        columns["reason_code"] = state.reason_code
    if state.renew_capture_key:
        columns["captures"] = payment.captures + 1
        columns["capture_request_id"] = f"capture-{payment.id}-{payment.captures + 1}"
    return columns


async def _complete(
    uow: UnitOfWork, order: Order, payment: Payment, state: ProviderState, issuer: Issuer, columns: dict[str, Any]
) -> None:
    charged = state.amount or payment.charged
    columns |= {
        "receipt_reference": state.receipt_reference,
        "settled_minor": charged.amount_minor,
        "settled_currency": charged.currency,
        "completed_at": uow.clock.now(),
        "reason_code": None,
    }
    try:
        async with uow.session.begin_nested():
            moved = await uow.payments.move(payment, PaymentStatus.COMPLETED, **columns)
    except IntegrityError:
        # One movement of money confirms one payment: this receipt is another's already.
        await _quarantine(uow, order, payment, "receipt", state)
        return
    if not moved:
        return
    log.info("payment completed", extra={"payment_id": str(payment.id), "order_id": str(order.id)})
    order = await take_in(uow, order, payment, charged, payment.amount, issuer)
    if not await settle(uow, order, issuer, payment):
        await restate(uow, order)


async def _quarantine(uow: UnitOfWork, order: Order, payment: Payment, differs: str, state: ProviderState) -> None:
    log.error("payment quarantined", extra={"payment_id": str(payment.id), "differs": differs})
    if payment.status in FINAL:
        return
    await uow.cases.open(payment, "quarantined", {"differs": differs, "said": state.provider_status})
    columns = _learned(payment, state) | {"reason_code": f"mismatch_{differs}"}
    await uow.payments.move(payment, PaymentStatus.QUARANTINED, **columns)
    await restate(uow, order)


async def apply_provider_state(
    uow: UnitOfWork, view: AttemptView, order_id: UUID, state: ProviderState, *, issuer: Issuer, payee: str | None
) -> None:
    """Apply one observation.

    A success is taken only if amount, currency, reference and our own id agree with the row; else the payment is
    quarantined and a case is opened. A success of a superseded, failed or cancelled attempt is still money.

    Args:
        uow: Open for the attempt's tenant.
        view: The attempt as the provider was asked about it.
        order_id: Its order.
        state: What the provider said.
        issuer: Who issues the invoice.
        payee: The account that must have been paid, where it is known.
    """
    order = await uow.orders.lock(order_id)
    payment = await uow.payments.lock(view.payment_id)
    assert order is not None
    assert payment is not None
    columns = _learned(payment, state)
    if state.needs_operator:
        await uow.cases.open(payment, "operator", {"provider_status": state.provider_status})
    if state.refunded:
        await uow.cases.open(payment, "refund_seen", {"amount": state.refunded.decimal()})
    if state.status is ProviderStatus.COMPLETED:
        if (differs := state.mismatch(view, payee)) is None:
            await _complete(uow, order, payment, state, issuer, columns)
            return
        await _quarantine(uow, order, payment, differs, state)
        return
    moved = await uow.payments.move(payment, _wanted(payment, state), **columns)
    if moved and state.status is ProviderStatus.FAILED and payment.is_offered and order.status in UNPAID:
        failed = await uow.payments.find(payment.id)
        assert failed is not None
        await uow.publish(PaymentFailed.of(order, failed), subject=str(failed.id))
        await uow.send_mail(payment_failed(order, failed, issuer))
    await _after_no_success(uow, order)


async def _after_no_success(uow: UnitOfWork, order: Order) -> None:
    """An order whose every attempt failed says so, and may be paid by another attempt."""
    attempts = await uow.payments.of_order(order.id)
    dead = not any(attempt.is_watched or attempt.status is PaymentStatus.QUARANTINED for attempt in attempts)
    if order.status in UNPAID and dead and not order.allocated_minor:
        await restate(uow, order, OrderStatus.FAILED)
        return
    kept = any(attempt.keeps_coupon or attempt.status is PaymentStatus.QUARANTINED for attempt in attempts)
    if order.status is OrderStatus.CANCELLED and not kept:
        await uow.coupons.release(order)
    await restate(uow, order)
