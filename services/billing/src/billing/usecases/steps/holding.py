"""Suspend a subscription whose money is disputed or was taken back, and lift that; each with its fact and its mail."""

from dataclasses import replace

from billing.domain.dispute import Dispute, DisputeStatus
from billing.domain.invoice import Issuer
from billing.domain.order import Order, OrderStatus
from billing.domain.payment import Payment
from billing.domain.period import Period
from billing.domain.subscription import Reason, Subscription, SubscriptionStatus
from billing.events import PaidPeriod, PaymentDisputed, PlanAsBought, SubscriptionRenewed, SubscriptionSuspended
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.ending import end_refunded_period
from billing.usecases.steps.mails import dispute_lifted, dispute_won, paid_while_disputed, payment_disputed
from billing.usecases.steps.standing import suspend, tell, wait_for_payment


async def hold(uow: UnitOfWork, order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> None:
    """Suspend with notice; order and payment are locked. One that is suspended or has ended stays as it is."""
    await uow.publish(PaymentDisputed.of(order, payment, dispute), subject=str(order.id))
    await uow.send_mail(payment_disputed(order, payment, dispute, issuer))
    subscription = await uow.subscriptions.lock(order.tenant_id)
    if subscription is not None:
        await suspend(uow, subscription, Reason.DISPUTE)


async def hold_lost(uow: UnitOfWork) -> None:
    """Let a lost dispute hold the subscription; one that has ended, or never began, leaves nothing to hold."""
    subscription = await uow.subscriptions.lock(uow.tenant_id)
    if subscription is None or subscription.status is SubscriptionStatus.ENDED:
        await uow.disputes.lift_lost()
        return
    await suspend(uow, subscription, Reason.DISPUTE)


async def is_held(uow: UnitOfWork) -> bool:
    """Say whether no payment makes the tenant's subscription active: a dispute holds it, or would have to."""
    return await uow.disputes.holding() is not None


async def tell_why_held(uow: UnitOfWork, order: Order, period: Period, payment: Payment | None, issuer: Issuer) -> None:
    """Tell that a subscription stays suspended though an order of it was just paid; customer and finance also why."""
    subscription = await uow.subscriptions.find(order.tenant_id)
    dispute = await uow.disputes.holding()
    assert subscription is not None
    assert dispute is not None
    await tell(uow, SubscriptionSuspended, subscription)
    await uow.send_mail(paid_while_disputed(order, period, dispute, issuer))
    about = payment or await uow.payments.find(dispute.payment_id)
    assert about is not None
    details = {"order_number": order.number, "dispute": dispute.reference, "dispute_status": dispute.status.value}
    await uow.cases.open(about, "paid_while_disputed", details, reference=str(order.id))


async def lift(uow: UnitOfWork, order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> None:
    """Take a suspension back whose dispute was won, unless another one still holds it."""
    won = replace(dispute, status=DisputeStatus.WON)
    await uow.publish(PaymentDisputed.of(order, payment, won), subject=str(order.id))
    await uow.send_mail(dispute_won(order, payment, won, issuer))
    subscription = await _let_go(uow)
    if subscription is not None:
        # Active even where the paid time ran out meanwhile: the calendar then gives him the whole of his grace.
        await _activate(uow, subscription)


async def lift_lost(uow: UnitOfWork, order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> None:
    """Let a subscription go that a lost dispute held, unless another one still does; the dispute is lifted.

    What was taken back buys nothing: the period of an order whose money is all gone ends, and what is paid for after
    it moves up. Where no paid time is left, it waits for payment, without a grace, or ends.
    """
    if order.status is OrderStatus.REFUNDED:
        await end_refunded_period(uow, order)
    await uow.send_mail(dispute_lifted(order, payment, dispute, issuer))
    held = await _let_go(uow)
    if held is None:
        return
    if held.ends_at <= uow.clock.now():
        await wait_for_payment(uow, held)
    else:
        await _activate(uow, held)


async def _let_go(uow: UnitOfWork) -> Subscription | None:
    """Return the subscription, locked, where it is suspended for disputes and none of them holds it any more."""
    subscription = await uow.subscriptions.lock(uow.tenant_id)
    suspended = subscription is not None and subscription.status is SubscriptionStatus.SUSPENDED
    if subscription is None or not suspended or subscription.reason is not Reason.DISPUTE or await is_held(uow):
        return None
    return subscription


async def _activate(uow: UnitOfWork, subscription: Subscription) -> None:
    last = await uow.subscriptions.last_period()
    assert last is not None, "a subscription is made by its first period"
    now = uow.clock.now()
    active = replace(
        subscription,
        status=SubscriptionStatus.ACTIVE,
        status_since=now,
        stepped_at=now,
        reason=None,
        told_days=None,
        version=subscription.version + 1,
    )
    await uow.subscriptions.save(active)
    order_id, period = last
    fact = SubscriptionRenewed(
        order_id=order_id, billing_cycle=active.cycle, plan=PlanAsBought.of(active.plan), period=PaidPeriod.of(period)
    )
    await uow.publish(fact, subject=str(active.tenant_id), aggregate_version=active.version)
