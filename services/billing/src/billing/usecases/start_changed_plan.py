"""Let a paid change of plan take effect at the end of the former period."""

from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.order import OrderPaymentStatus, OrderStatus
from billing.domain.subscription import SubscriptionStatus
from billing.events import PaidPeriod, PlanAsBought, SubscriptionPlanChanged
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.fitting import tell_if_too_small


async def start_changed_plan(uow: UnitOfWork, order_id: UUID, issuer: Issuer) -> bool:
    """Switch the subscription to the plan of a paid, scheduled change whose day has come; once.

    Args:
        uow: Open for the order's tenant.
        order_id: The change.
        issuer: Who writes to the customer, where more is used than the new plan allows.

    Returns:
        Whether the plan changed by this call.
    """
    order = await uow.orders.lock(order_id)
    if order is None or order.status is not OrderStatus.PROCESSING:
        return False
    if order.effective_at is None or order.effective_at > uow.clock.now():
        return False
    subscription = await uow.subscriptions.lock(order.tenant_id)
    assert subscription is not None
    period = await uow.subscriptions.period_of(order.id)
    if period is None:
        # An upgrade has replaced what this change bought, and has credited it: its plan must not come any more.
        await uow.orders.move(order, OrderStatus.COMPLETED, OrderPaymentStatus.of_settled(order))
        return False
    await uow.subscriptions.switch(order, subscription.ends_at)
    await uow.orders.move(order, OrderStatus.COMPLETED, OrderPaymentStatus.of_settled(order))
    await tell_if_too_small(uow, order, issuer)
    if subscription.status is SubscriptionStatus.SUSPENDED:
        # Only what ends the suspension tells of its plan: this fact would make the organization active.
        return True
    await uow.publish(
        SubscriptionPlanChanged(
            order_id=order.id,
            billing_cycle=order.cycle,
            plan=PlanAsBought.of(order.plan),
            period=PaidPeriod.of(period),
        ),
        subject=str(order.tenant_id),
        aggregate_version=subscription.version + 1,
    )
    return True
