"""What follows from money: allocation, surplus, and, once an order is covered, period, invoice and fact.

All in the caller's transaction, with the order locked. Locks go order → attempt → coupon → subscription → counter.
"""

from common.crash_points import reach
from common.ids import uuid7

from billing.domain.invoice import Invoice, Issuer, Settlement, invoice_lines, number_of
from billing.domain.ledger import allocated, invoiced, kept_as_credit, received
from billing.domain.money import Money
from billing.domain.order import (
    CHANGE_HOLDS,
    SETTLED,
    Order,
    OrderKind,
    OrderPaymentStatus,
    OrderStatus,
    payment_status,
)
from billing.domain.particulars import named_on_invoice
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.period import Period
from billing.domain.subscription import Subscription, period_bought
from billing.events import (
    InvoiceIssued,
    PaidPeriod,
    PaymentConfirmed,
    PlanAsBought,
    SubscriptionPlanChanged,
    SubscriptionRenewed,
)
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.credit import use_credit
from billing.usecases.steps.crediting import keep_unused
from billing.usecases.steps.fitting import tell_if_too_small
from billing.usecases.steps.holding import is_held, tell_why_held
from billing.usecases.steps.mails import (
    auto_renewal_ended,
    confirmation,
    credit_kept,
    invoice_issued,
    order_outdated,
    part_received,
)
from billing.usecases.steps.unused_time import credits_too_much


async def take_in(
    uow: UnitOfWork, order: Order, payment: Payment, charged: Money, worth: Money, issuer: Issuer
) -> Order:
    """Book a payment that has just become ``completed``: to its order as far as it is due, the rest as credit.

    What does not just pay the order, too little, too much, twice or too late, is told to the customer.

    Args:
        uow: Open for the order's tenant.
        order: Locked.
        payment: Locked, and moved to ``completed`` by this transaction.
        charged: What the provider took, in its currency.
        worth: The same in the order's currency.
        issuer: Who writes the mails.

    Returns:
        The order with what it has received now.
    """
    await uow.ledger.book(order.tenant_id, received(payment.id, payment.method, charged, worth))
    reach("billing.payment.booked")
    to_order = min(worth, order.outstanding)
    if to_order and await uow.payments.allocate(payment, to_order):
        await uow.orders.allocate(order, to_order)
        await uow.ledger.book(order.tenant_id, allocated(payment.id, to_order))
        if not await uow.coupons.take_again(order):
            await uow.cases.open(payment, "coupon_used_up", {"order_number": order.number, "code": order.coupon_code})
    if surplus := worth - to_order:
        await uow.ledger.book(order.tenant_id, kept_as_credit(payment.id, surplus))
        await uow.cases.open(payment, "surplus", {"amount": surplus.decimal(), "currency": surplus.currency})
        await uow.send_mail(credit_kept(order, payment, surplus, issuer))
    locked = await uow.orders.lock(order.id)
    assert locked is not None
    if locked.outstanding and locked.status not in SETTLED:
        await uow.ledger.hold_credit(locked.tenant_id, locked.amounts.currency)
        if await is_outdated(uow, locked, await uow.subscriptions.lock(locked.tenant_id)):
            # It buys nothing any more: what was paid is a case, and the customer's credit stays his.
            await _buys_nothing(uow, locked, payment, issuer)
            return locked
    paid = await use_credit(uow, locked)
    if paid.outstanding and paid.status not in SETTLED:
        await uow.send_mail(part_received(paid, payment, to_order, issuer))
    return paid


async def _buys_nothing(uow: UnitOfWork, order: Order, payment: Payment, issuer: Issuer) -> None:
    """Show money for an outdated order to a person, and tell the customer that it waits for one."""
    await uow.cases.open(payment, "order_outdated", {"order_number": order.number})
    taken = await uow.payments.find(payment.id)
    assert taken is not None
    await uow.send_mail(order_outdated(order, taken, issuer))


async def restate(uow: UnitOfWork, order: Order, wanted: OrderStatus | None = None) -> None:
    """Move a locked order if wanted and allowed, and write what it says about its payments."""
    attempts = await uow.payments.of_order(order.id)
    has_open = any(attempt.is_offered for attempt in attempts) or (order.allocated_minor > 0 and not order.is_covered)
    derived = payment_status(
        wanted or order.status,
        covered=order.is_covered,
        has_open=has_open,
        has_failed=any(attempt.status is PaymentStatus.FAILED for attempt in attempts),
        has_refund=order.refunded_minor > 0,
    )
    await uow.orders.move(order, wanted or order.status, derived)


async def is_outdated(uow: UnitOfWork, order: Order, running: Subscription | None) -> bool:
    """Say whether the subscription that an order's frozen price was computed from is another by now.

    What follows a period is in its currency. A renewal is of the running plan; a change credits periods once, and the
    time in them that was unused when it was placed, where nobody disputes the money. One that begins at once replaces
    all that is paid for, so it has to have credited all of it.
    """
    if running is None or order.kind is OrderKind.NEW:
        return False
    if order.amounts.currency != running.currency and running.keeps_its_currency(uow.clock.now()):
        return True
    if order.kind is OrderKind.RENEWAL:
        return running.plan.id != order.plan.id or not await uow.subscriptions.paid_ahead_is_of(order.plan.id)
    if order.effective_at is None and await is_held(uow):
        # What it would credit is disputed.
        return True
    return await _change_is_outdated(uow, order)


async def _change_is_outdated(uow: UnitOfWork, order: Order) -> bool:
    placed, now = order.created_at, uow.clock.now()
    if await uow.subscriptions.replaced_since(placed):
        return True
    if order.proration is not None and not order.proration.is_of(await uow.subscriptions.periods_ahead(now), now):
        return True
    too_late = now - placed > CHANGE_HOLDS
    if order.amounts.credit and (too_late or await uow.subscriptions.refunded_since(placed)):
        return True
    return await credits_too_much(uow, order)


async def _period(uow: UnitOfWork, order: Order, running: Subscription | None, *, held: bool) -> Period | None:
    now = uow.clock.now()
    at_once = order.kind is OrderKind.CHANGE and order.effective_at is None
    period = period_bought(running, order.cycle, now, at_once=at_once, trial_days=order.plan.trial_days)
    if not await uow.subscriptions.add_period(order, period):
        return None
    if running is None:
        await uow.subscriptions.start(order, period)
    elif order.kind is OrderKind.CHANGE and period.starts_at > now:
        await uow.subscriptions.prolong(order.tenant_id, period)
        await uow.orders.take_effect(order, period.starts_at)
    else:
        await uow.subscriptions.extend(order, period, is_held=held)
        if at_once:
            await uow.subscriptions.replace_periods(order, now)
    return period


async def _invoice(uow: UnitOfWork, order: Order, period: Period, issuer: Issuer, payment: Payment | None) -> Invoice:
    now = uow.clock.now()
    sequence = await uow.invoices.next_sequence(issuer.code, now.year)
    invoice = Invoice(
        tenant_id=order.tenant_id,
        id=uuid7(),
        order_id=order.id,
        order_number=order.number,
        issuer=issuer.document(),
        year=now.year,
        sequence=sequence,
        number=number_of(issuer.code, now.year, sequence),
        issued_at=now,
        customer=named_on_invoice(order, await uow.particulars.known(order.tenant_id)),
        language=order.language,
        amounts=order.amounts,
        lines=invoice_lines(order),
        period=period,
        settlement=Settlement(payment.method.value, payment.reference, now) if payment else None,
    )
    await uow.invoices.add(invoice)
    await uow.publish(InvoiceIssued.of(invoice), subject=str(invoice.id))
    if order.amounts.total:
        await uow.ledger.book(order.tenant_id, invoiced(invoice.id, order.amounts.net, order.amounts.tax))
    return invoice


async def _end_consent(uow: UnitOfWork, order: Order, period: Period, running: Subscription, issuer: Issuer) -> None:
    """Tell that nobody is asked for renewals any more: the customer agreed to that in the former currency."""
    await uow.audit(
        "subscription.auto_renewal_ended",
        str(order.tenant_id),
        actor="billing",
        reason="paid in another currency",
        before={"currency": running.currency},
        after={"currency": order.amounts.currency},
    )
    await uow.send_mail(auto_renewal_ended(order, period, issuer))


def _next_status(order: Order, period: Period, uow: UnitOfWork) -> OrderStatus:
    if order.kind is OrderKind.NEW:
        return OrderStatus.PAID
    scheduled = order.kind is OrderKind.CHANGE and period.starts_at > uow.clock.now()
    return OrderStatus.PROCESSING if scheduled else OrderStatus.COMPLETED


async def _tell(
    uow: UnitOfWork, order: Order, period: Period, invoice: Invoice, payment: Payment | None, *, held: bool
) -> None:
    fact = PaymentConfirmed.of(order, period, invoice_id=invoice.id, payment_id=payment.id if payment else None)
    await uow.publish(fact, subject=str(order.id))
    if held or order.kind is OrderKind.NEW or _next_status(order, period, uow) is OrderStatus.PROCESSING:
        return
    state = SubscriptionRenewed if order.kind is OrderKind.RENEWAL else SubscriptionPlanChanged
    subscription = await uow.subscriptions.find(order.tenant_id)
    assert subscription is not None
    await uow.publish(
        state(
            order_id=order.id,
            billing_cycle=order.cycle,
            plan=PlanAsBought.of(order.plan),
            period=PaidPeriod.of(period),
        ),
        subject=str(order.tenant_id),
        aggregate_version=subscription.version,
    )


async def settle(uow: UnitOfWork, order: Order, issuer: Issuer, payment: Payment | None) -> bool:
    """Give a covered order what it paid for, once: period, invoice and ``payment.confirmed`` in this transaction.

    Args:
        uow: Open for the order's tenant.
        order: Locked, as after its last allocation.
        issuer: Who issues the invoice.
        payment: Whose success covered it; ``None`` for an order of nothing.

    Returns:
        Whether the order was settled by this call; a settled, uncovered or outdated order is left as it is, and
        the money of an outdated one is a case for a person.
    """
    if not order.is_covered or order.status in SETTLED:
        return False
    running = await uow.subscriptions.lock(order.tenant_id)
    if await is_outdated(uow, order, running):
        if payment is not None:
            await _buys_nothing(uow, order, payment, issuer)
        return False
    held = running is not None and await is_held(uow)
    period = await _period(uow, order, running, held=held)
    if period is None:
        return False
    if running is not None and running.auto_renew and running.currency != order.amounts.currency:
        await _end_consent(uow, order, period, running, issuer)
    invoice = await _invoice(uow, order, period, issuer, payment)
    await keep_unused(uow, order, issuer)
    reach("billing.invoice.added")
    for attempt in await uow.payments.of_order(order.id):
        if attempt.is_offered:
            await uow.payments.move(attempt, PaymentStatus.SUPERSEDED)
    await uow.orders.move(order, OrderStatus.PAID, OrderPaymentStatus.PAID)
    settled = await uow.orders.lock(order.id)
    assert settled is not None
    await uow.orders.move(settled, _next_status(order, period, uow), OrderPaymentStatus.PAID)
    await _tell(uow, order, period, invoice, payment, held=held)
    await uow.send_mail(confirmation(order, invoice))
    await uow.send_mail(invoice_issued(invoice))
    if order.kind is OrderKind.CHANGE and order.effective_at is None:
        await tell_if_too_small(uow, order, issuer)
    if held:
        await tell_why_held(uow, order, period, payment, issuer)
    return True
