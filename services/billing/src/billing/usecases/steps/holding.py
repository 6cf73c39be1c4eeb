"""Suspend a subscription whose money is disputed or was taken back, and lift that; each with its fact and its mail."""

from dataclasses import replace

from billing.domain.dispute import Dispute, DisputeStatus
from billing.domain.invoice import Issuer
from billing.domain.order import Order
from billing.domain.payment import Payment
from billing.domain.subscription import Reason, SubscriptionStatus
from billing.events import PaidPeriod, PaymentDisputed, PlanAsBought, SubscriptionRenewed
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.mails import dispute_won, payment_disputed
from billing.usecases.steps.standing import suspend


async def hold(uow: UnitOfWork, order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> None:
    """Suspend with notice; order and payment are locked. One that is suspended or has ended stays as it is."""
    await uow.publish(PaymentDisputed.of(order, payment, dispute), subject=str(order.id))
    await uow.send_mail(payment_disputed(order, payment, dispute, issuer))
    subscription = await uow.subscriptions.lock(order.tenant_id)
    if subscription is not None:
        await suspend(uow, subscription, Reason.DISPUTE)


async def lift(uow: UnitOfWork, order: Order, payment: Payment, dispute: Dispute, issuer: Issuer) -> None:
    """Take a suspension back whose dispute was won, unless another one still holds it."""
    won = replace(dispute, status=DisputeStatus.WON)
    await uow.publish(PaymentDisputed.of(order, payment, won), subject=str(order.id))
    await uow.send_mail(dispute_won(order, payment, won, issuer))
    subscription = await uow.subscriptions.lock(order.tenant_id)
    suspended = subscription is not None and subscription.status is SubscriptionStatus.SUSPENDED
    if subscription is None or not suspended or subscription.reason is not Reason.DISPUTE:
        return
    last = await uow.subscriptions.last_period()
    if last is None or await uow.disputes.against_us():
        return
    # Active even where the paid time ran out meanwhile: the calendar then gives him the whole of his grace.
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
    await uow.publish(fact, subject=str(order.tenant_id), aggregate_version=active.version)
