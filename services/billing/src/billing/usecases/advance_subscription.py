"""Take the step that a subscription's calendar asks for: once, with its fact and its mail, in one transaction."""

from dataclasses import dataclass

from billing.domain.invoice import Issuer
from billing.domain.lifecycle import DueStep, Step, Terms, next_step
from billing.domain.order import Order
from billing.domain.subscription import Reason, Subscription
from billing.events import SubscriptionDeletionDue, SubscriptionRenewalDue
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.standing import end, fall_due, stepped, suspend, tell
from billing.usecases.steps.subscription_mails import deletion_warning, renewal_due, subscription_past_due


@dataclass(frozen=True, slots=True)
class Due:
    """A locked subscription, and the step that is due."""

    subscription: Subscription
    step: DueStep


async def due_step(uow: UnitOfWork, terms: Terms) -> Due | None:
    """Lock the tenant's subscription and return the step that is due.

    Where none is, as another process has taken it or the customer has paid, it is noted when to look again.
    """
    subscription = await uow.subscriptions.lock(uow.tenant_id)
    if subscription is None:
        return None
    step = next_step(subscription, terms, uow.clock.now())
    if step is not None and step.at <= uow.clock.now():
        return Due(subscription, step)
    await uow.subscriptions.look_again(subscription.tenant_id, step.at if step else None)
    return None


async def advance_subscription(
    uow: UnitOfWork, due: Due, terms: Terms, issuer: Issuer, *, last: Order, renewal: Order | None
) -> None:
    """Take a step. What is told of it, and that it was taken, is one commit: no second try tells it again.

    Args:
        uow: Open for the subscription's tenant.
        due: As `due_step` found it in this transaction.
        terms: The deployment's.
        issuer: Who writes the mails.
        last: The order of the last period: whom mails go to.
        renewal: The order that renews it, if there is one.
    """
    moved = await _take(uow, due, terms, issuer, last, renewal)
    step = next_step(moved, terms, uow.clock.now())
    await uow.subscriptions.look_again(moved.tenant_id, step.at if step else None)


async def _take(
    uow: UnitOfWork, due: Due, terms: Terms, issuer: Issuer, last: Order, renewal: Order | None
) -> Subscription:
    subscription = due.subscription
    match due.step.step:
        case Step.FALL_DUE:
            await uow.send_mail(
                subscription_past_due(subscription, last, renewal, issuer, until=uow.clock.now() + terms.grace)
            )
            return await fall_due(uow, subscription)
        case Step.SUSPEND:
            return await suspend(uow, subscription, Reason.UNPAID)
        case Step.END:
            cancelled = subscription.cancel_at_period_end
            reason = Reason.CANCELLED if cancelled else subscription.reason or Reason.UNPAID
            return await end(uow, subscription, reason)
        case Step.WARN:
            deletion_at = max(subscription.status_since + terms.deletion, uow.clock.now())
            await uow.send_mail(deletion_warning(subscription, last, issuer, days=due.step.days, at=deletion_at))
            return await stepped(uow, subscription, told_days=due.step.days)
        case Step.ASK_DELETION:
            moved = await stepped(uow, subscription, told_days=0)
            await tell(uow, SubscriptionDeletionDue, moved)
            return moved
        case _:
            return await _remind(uow, due, issuer, last, renewal)


async def _remind(uow: UnitOfWork, due: Due, issuer: Issuer, last: Order, renewal: Order | None) -> Subscription:
    days = due.step.days
    moved = await stepped(uow, due.subscription, told_days=days)
    await tell(uow, SubscriptionRenewalDue, moved, days=days, renewal_order_id=renewal.id if renewal else None)
    await uow.send_mail(renewal_due(moved, last, renewal, issuer, days=days))
    return moved
