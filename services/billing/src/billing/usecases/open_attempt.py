"""Open an attempt to pay an order: the row with its references and keys, before any provider is called."""

import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

from billing.domain.charging import charge_for
from billing.domain.money import Money
from billing.domain.order import UNPAID, OrderStatus
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.plan import METHOD_LABELS, Method
from billing.errors import AmountAboveLimit, OrderNotFound, OrderNotPayable, OrderOutdated
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.attempting import attempt_of
from billing.usecases.steps.credit import due_beside_credit
from billing.usecases.steps.settlement import is_outdated, restate

START_PATIENCE = timedelta(seconds=15)
"""When the janitor asks about an attempt whose start was never recorded: longer than a start may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedPayment:
    """How a customer wants to pay. ``currency`` is the one that the method takes; ``None`` is the order's.

    ``most`` is what the method takes at once, in that currency; ``None`` is any amount.
    """

    method: Method
    currency: str | None
    most: Money | None = None
    phone_number: str | None = None
    return_url: str | None = None
    cancel_url: str | None = None
    language: str = "fr"


async def open_attempt(
    uow: UnitOfWork, order_id: UUID, wanted: WantedPayment, *, user_id: UUID, taps_once: bool = False
) -> tuple[Payment, bool]:
    """Add an attempt for what is due beside the customer's credit, and supersede those before it, which stay watched.

    Args:
        uow: Open for the order's tenant.
        order_id: The order.
        wanted: How it is to be paid.
        user_id: Who begins it.
        taps_once: Whether the same attempt of a moment ago is meant.

    Returns:
        The attempt, and whether it is new.

    Raises:
        OrderNotFound: The tenant has no such order.
        OrderNotPayable: It takes no new payment.
        AmountAboveLimit: More is due than the method takes at once.
        OrderOutdated: Its price was computed from a subscription that is another by now.
    """
    order = await uow.orders.lock(order_id)
    if order is None:
        raise OrderNotFound
    if order.status not in UNPAID:
        raise OrderNotPayable(state=order.status.value)
    if await is_outdated(uow, order, await uow.subscriptions.find(order.tenant_id)):
        raise OrderOutdated
    former = await uow.payments.of_order(order.id)
    is_momo = wanted.method is Method.MTN_MOMO
    is_transfer = wanted.method is Method.BANK_TRANSFER
    now = uow.clock.now()
    due = await due_beside_credit(uow, order)
    charge = charge_for(due, wanted.currency, whole_units=is_momo)
    if wanted.most is not None and charge.amount > wanted.most:
        raise AmountAboveLimit(
            method=METHOD_LABELS[wanted.method],
            limit=wanted.most.decimal(),
            amount=charge.amount.decimal(),
            currency=wanted.most.currency,
        )
    status = PaymentStatus.SUBMITTED if is_transfer else PaymentStatus.PENDING
    begun = attempt_of(order, len(former) + 1, due, wanted.method, status, now)
    payment = replace(
        begun,
        charged=charge.amount,
        rate_numerator=charge.rate_numerator,
        rate_denominator=charge.rate_denominator,
        provider_reference=str(uuid4()) if is_momo else None,
        callback_token=secrets.token_urlsafe(32) if is_momo else None,
        phone_number=wanted.phone_number,
        return_url=wanted.return_url,
        cancel_url=wanted.cancel_url,
        submitted_by=user_id,
        language=wanted.language,
        next_poll_at=None if is_transfer else now + START_PATIENCE,
    )
    if taps_once and (again := next((one for one in former if one.is_again(payment)), None)):
        return again, False
    for attempt in former:
        if attempt.is_offered:
            await uow.payments.move(attempt, PaymentStatus.SUPERSEDED)
    await uow.payments.add(payment)
    await restate(uow, order, OrderStatus.PAYMENT_PENDING)
    return payment, True
