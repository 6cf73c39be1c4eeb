"""Whether what a customer uses fits the plan that has just come into force."""

from billing.domain.invoice import Issuer
from billing.domain.order import Order
from billing.domain.usage import over_quota
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.subscription_mails import plan_too_small


async def tell_if_too_small(uow: UnitOfWork, order: Order, issuer: Issuer) -> None:
    """Write what is too much: it fitted, or was told of, when the change was ordered, and more was added since."""
    if excess := over_quota(await uow.usage.known(order.tenant_id), order.plan.quotas):
        await uow.send_mail(plan_too_small(order, excess, issuer))
