"""How a subscription comes to another status, and the facts that tell of it; the subscription is locked.

A paid period makes it active again (``steps.settlement``).
"""

from dataclasses import replace
from typing import Any

from billing.domain.subscription import Reason, Subscription, SubscriptionStatus
from billing.events import SubscriptionEnded, SubscriptionPastDue, SubscriptionState, SubscriptionSuspended
from billing.persistence.unit_of_work import UnitOfWork


async def tell(uow: UnitOfWork, fact: type[SubscriptionState], subscription: Subscription, **more: Any) -> None:
    """Publish how a subscription stands, with its last period."""
    last = await uow.subscriptions.last_period()
    assert last is not None, "a subscription is made by its first period"
    await uow.publish(
        fact.of(subscription, *last, **more),
        subject=str(subscription.tenant_id),
        aggregate_version=subscription.version,
    )


async def stepped(uow: UnitOfWork, subscription: Subscription, **changes: Any) -> Subscription:
    """Write a step of the calendar; ``changes`` are fields of the subscription."""
    moved = replace(subscription, stepped_at=uow.clock.now(), version=subscription.version + 1, **changes)
    await uow.subscriptions.save(moved)
    return moved


async def _to(
    uow: UnitOfWork, subscription: Subscription, status: SubscriptionStatus, reason: Reason | None
) -> Subscription:
    return await stepped(uow, subscription, status=status, status_since=uow.clock.now(), reason=reason, told_days=None)


async def fall_due(uow: UnitOfWork, subscription: Subscription) -> Subscription:
    """The paid time is over: the grace begins."""
    moved = await _to(uow, subscription, SubscriptionStatus.PAST_DUE, Reason.UNPAID)
    await tell(uow, SubscriptionPastDue, moved)
    return moved


async def suspend(uow: UnitOfWork, subscription: Subscription, reason: Reason) -> Subscription:
    """Suspend a subscription; one that is suspended or has ended stays as it is."""
    if subscription.status in {SubscriptionStatus.SUSPENDED, SubscriptionStatus.ENDED}:
        return subscription
    moved = await _to(uow, subscription, SubscriptionStatus.SUSPENDED, reason)
    await tell(uow, SubscriptionSuspended, moved)
    return moved


async def end(uow: UnitOfWork, subscription: Subscription, reason: Reason) -> Subscription:
    """End a subscription, and with it what lost disputes held; one that has ended stays as it is."""
    if subscription.status is SubscriptionStatus.ENDED:
        return subscription
    await uow.disputes.lift_lost()
    moved = await _to(uow, subscription, SubscriptionStatus.ENDED, reason)
    await tell(uow, SubscriptionEnded, moved)
    return moved


async def wait_for_payment(uow: UnitOfWork, subscription: Subscription) -> Subscription:
    """Let a subscription that a dispute held stay suspended for want of payment only: any payment lifts that."""
    moved = await _to(uow, subscription, SubscriptionStatus.SUSPENDED, Reason.UNPAID)
    await tell(uow, SubscriptionSuspended, moved)
    return moved
