"""What the calendar asks of billing: the steps of subscriptions, and unpaid orders that expire.

Any number of processes may run it: rows are claimed by one statement, and each step looks again under the
subscription's lock, so that none is taken twice.
"""

import logging
from datetime import timedelta
from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.lifecycle import Step, Terms
from billing.domain.order import Order, OrderKind
from billing.domain.subscription import Subscription
from billing.errors import CurrencyNotSold, PlanNotFound
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.usecases.advance_subscription import advance_subscription, due_step
from billing.usecases.expire_order import expire_order
from billing.usecases.place_order import WantedOrder, place_order

log = logging.getLogger(__name__)

BATCH = 50

PREPARES = frozenset({Step.REMIND, Step.FALL_DUE})
"""Steps that tell the customer what to pay: the order that renews his subscription is there by then."""


class Calendar:
    """The worker's side of subscriptions and orders.

    Args:
        store: The three doors.
        terms: How long each stage of a subscription lasts.
        issuer: Who issues invoices and writes mails.
    """

    def __init__(self, store: BillingStore, terms: Terms, issuer: Issuer) -> None:
        self._store = store
        self._terms = terms
        self._issuer = issuer

    async def advance_due(self) -> int:
        """Take every step that is due, one transaction each; return how many were taken."""
        steps = 0
        while True:
            async with self._store.for_system("janitor") as uow:
                due = await uow.subscriptions.claim_due(BATCH)
            if not due:
                return steps
            for tenant_id in due:
                try:
                    steps += await self.advance(tenant_id)
                except Exception:
                    # One subscription that cannot go on must not hold up the others; it is claimed again later.
                    log.exception("subscription not advanced", extra={"tenant_id": str(tenant_id)})

    async def advance(self, tenant_id: UUID) -> bool:
        """Take the step of one subscription, if one is due; return whether it was taken by this call."""
        async with self._store.for_tenant(tenant_id) as uow:
            due = await due_step(uow, self._terms)
            if due is None:
                return False
            last = await _last_order(uow)
            renewal = await uow.orders.renewal_of(due.subscription.plan.id, due.subscription.ends_at)
            if renewal is None and due.step.step in PREPARES:
                renewal = await self._prepare_renewal(uow, due.subscription, last)
            await advance_subscription(uow, due, self._terms, self._issuer, last=last, renewal=renewal)
        log.info("subscription advanced", extra={"tenant_id": str(tenant_id), "step": due.step.step.value})
        return True

    async def _prepare_renewal(self, uow: UnitOfWork, subscription: Subscription, last: Order) -> Order | None:
        """Make the order that renews a subscription as it is; ``None`` where its plan is not sold any more."""
        wanted = WantedOrder(
            plan_id=subscription.plan.id,
            billing_cycle=subscription.cycle,
            customer=last.customer,
            coupon_code=None,
            kind=OrderKind.RENEWAL,
            effective_now=False,
            language=last.language,
        )
        try:
            return await place_order(
                uow,
                wanted,
                tenant_id=subscription.tenant_id,
                user_id=await uow.organizations.owner(subscription.tenant_id) or last.user_id,
                issuer=self._issuer,
                holds=subscription.ends_at - uow.clock.now() + self._terms.unpaid + timedelta(days=1),
                renews_at=subscription.ends_at,
            )
        except (PlanNotFound, CurrencyNotSold):
            return None

    async def expire_orders(self) -> int:
        """Cancel the unpaid orders whose time is over; return how many were cancelled."""
        expired = 0
        while True:
            async with self._store.for_system("janitor") as uow:
                due = await uow.orders.claim_expired(BATCH)
            if not due:
                return expired
            for tenant_id, order_id in due:
                async with self._store.for_tenant(tenant_id) as uow:
                    expired += await expire_order(uow, order_id)


async def _last_order(uow: UnitOfWork) -> Order:
    last = await uow.subscriptions.last_period()
    assert last is not None, "a subscription is made by its first period"
    order = await uow.orders.find(last[0])
    assert order is not None
    return order
