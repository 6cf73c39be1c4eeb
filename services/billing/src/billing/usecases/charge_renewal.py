"""Ask Mobile Money for a renewal that its customer has agreed to: the attempt, once for each end."""

from billing.domain.lifecycle import Step, Terms, next_step
from billing.domain.order import Order
from billing.domain.subscription import Subscription
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.standing import stepped


async def renewal_to_charge(uow: UnitOfWork, terms: Terms) -> tuple[Subscription, Order | None] | None:
    """Lock the renewal that was ordered ahead and its subscription, in the order of all locks about money.

    Returns:
        The subscription and its renewal, ``None`` for the latter where there is none or the customer is paying it;
        ``None`` altogether where no charge is due any more.
    """
    found = await uow.subscriptions.find(uow.tenant_id)
    assert found is not None
    order = await uow.orders.renewal_of(found.plan.id, found.ends_at)
    if order is not None:
        order = await uow.orders.lock(order.id)
    subscription = await uow.subscriptions.lock(uow.tenant_id)
    assert subscription is not None
    due = next_step(subscription, terms, uow.clock.now())
    if due is None or due.step is not Step.CHARGE or due.at > uow.clock.now():
        return None
    if order is not None and any(attempt.is_offered for attempt in await uow.payments.of_order(order.id)):
        order = None
    return subscription, order


async def note_charge(uow: UnitOfWork, subscription: Subscription, terms: Terms) -> None:
    """Note that Mobile Money was asked for this end: it is not asked again."""
    moved = await stepped(uow, subscription, charged_for=subscription.ends_at)
    step = next_step(moved, terms, uow.clock.now())
    await uow.subscriptions.look_again(moved.tenant_id, step.at if step else None)
