"""Charge a renewal that its customer has agreed to: which one, and that it was charged for its end, once."""

from billing.domain.lifecycle import Step, Terms, next_step
from billing.domain.order import Order
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.standing import stepped


class ChargeNotDue(Exception):
    """No charge is due any more: what this transaction has prepared is not to be."""


async def find_renewal(uow: UnitOfWork) -> Order | None:
    """Return the unpaid order that was made ahead for the end of the tenant's subscription."""
    subscription = await uow.subscriptions.find(uow.tenant_id)
    return None if subscription is None else await uow.orders.renewal_of(subscription.plan.id, subscription.ends_at)


async def note_charge(uow: UnitOfWork, terms: Terms) -> None:
    """Note that this end was charged for, so that it is not again; the order is locked before the subscription.

    Raises:
        ChargeNotDue: It was noted already, or the end has moved.
    """
    subscription = await uow.subscriptions.lock(uow.tenant_id)
    now = uow.clock.now()
    due = next_step(subscription, terms, now) if subscription else None
    if subscription is None or due is None or due.step is not Step.CHARGE or due.at > now:
        raise ChargeNotDue
    moved = await stepped(uow, subscription, charged_for=subscription.ends_at)
    step = next_step(moved, terms, now)
    await uow.subscriptions.look_again(moved.tenant_id, step.at if step else None)
