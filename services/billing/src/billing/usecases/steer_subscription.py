"""What an owner decides about his subscription: cancel it at the end of what is paid, take that back, renew it by
Mobile Money without being asked again.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.subscription import Subscription, SubscriptionStatus
from billing.errors import SubscriptionEnded, SubscriptionNotFound
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.subscription_mails import subscription_cancelled


async def _steer(uow: UnitOfWork, action: str, actor: UUID, **changes: Any) -> tuple[Subscription, bool]:
    subscription = await uow.subscriptions.lock(uow.tenant_id)
    if subscription is None:
        raise SubscriptionNotFound
    if subscription.status is SubscriptionStatus.ENDED:
        raise SubscriptionEnded
    steered = replace(subscription, **changes)
    if steered == subscription:
        return subscription, False
    steered = replace(steered, version=subscription.version + 1)
    await uow.subscriptions.save(steered)
    await uow.audit(action, str(uow.tenant_id), actor=actor)
    return steered, True


async def cancel_subscription(uow: UnitOfWork, *, actor: UUID, issuer: Issuer) -> Subscription:
    """Let the subscription end with what is paid. A second time changes nothing; a paid renewal takes it back.

    Raises:
        SubscriptionNotFound: Nothing was ever bought.
        SubscriptionEnded: It has ended already.
    """
    steered, changed = await _steer(uow, "subscription.cancelled", actor, cancel_at_period_end=True)
    last = await uow.subscriptions.last_period()
    order = await uow.orders.find(last[0]) if last else None
    if changed and order is not None:
        await uow.send_mail(subscription_cancelled(steered, order, issuer))
    return steered


async def resume_subscription(uow: UnitOfWork, *, actor: UUID) -> Subscription:
    """Take a cancellation back before it has had its effect; the customer is reminded of the end again.

    Raises:
        SubscriptionNotFound: Nothing was ever bought.
        SubscriptionEnded: It has ended already.
    """
    steered, _ = await _steer(uow, "subscription.resumed", actor, cancel_at_period_end=False)
    return steered


async def agree_to_renewal(uow: UnitOfWork, phone_number: str | None, *, actor: UUID) -> Subscription:
    """Keep the customer's consent that Mobile Money is asked for each renewal, or, without a number, its end.

    Raises:
        SubscriptionNotFound: Nothing was ever bought.
        SubscriptionEnded: It has ended already.
    """
    agreed = phone_number is not None
    action = "subscription.auto_renewal_agreed" if agreed else "subscription.auto_renewal_withdrawn"
    steered, _ = await _steer(uow, action, actor, auto_renew=agreed, auto_renew_phone=phone_number)
    return steered
