"""Take a fully refunded order's period back: the running one ends now, and what was paid for after it moves up."""

from billing.domain.order import Order, OrderStatus
from billing.domain.subscription import Reason
from billing.events import SubscriptionShortened
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.standing import end, tell


async def end_refunded_period(uow: UnitOfWork, order: Order) -> bool:
    """Withdraw what lies ahead of a refunded order's period.

    Args:
        uow: Open for the order's tenant; order and payment are locked.
        order: Fully refunded by this transaction.

    Returns:
        Whether the subscription has ended by it: nothing else is paid for.
    """
    subscription = await uow.subscriptions.lock(order.tenant_id)
    now = uow.clock.now()
    period = await uow.subscriptions.withdraw(order.id, now)
    if subscription is None or period is None:
        return False
    unused = period.ends_at - max(now, period.starts_at)
    for order_id, starts_at in (await uow.subscriptions.move_up(period.starts_at, unused)).items():
        later = await uow.orders.find(order_id)
        if later is not None and later.status is OrderStatus.PROCESSING:
            await uow.orders.take_effect(later, starts_at)
    ends_at = subscription.ends_at - unused
    await uow.subscriptions.shorten(order.tenant_id, max(ends_at, now))
    shortened = await uow.subscriptions.lock(order.tenant_id)
    assert shortened is not None
    if ends_at > now:
        await tell(uow, SubscriptionShortened, shortened)
        return False
    await end(uow, shortened, Reason.REFUNDED)
    return True
