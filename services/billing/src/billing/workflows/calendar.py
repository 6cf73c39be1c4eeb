"""What the calendar asks of billing: the steps of subscriptions, and unpaid orders that expire.

Any number of processes may run it: rows are claimed by one statement, and each step looks again under the
subscription's lock, so that none is taken twice.
"""

import logging
from datetime import timedelta
from uuid import UUID

from billing.domain.lifecycle import Step, Terms
from billing.domain.order import Order, OrderKind
from billing.domain.plan import Method
from billing.domain.subscription import Subscription
from billing.errors import CurrencyNotSold, PlanNotFound
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.usecases.advance_subscription import advance_subscription, due_step
from billing.usecases.charge_renewal import note_charge, renewal_to_charge
from billing.usecases.expire_order import expire_order
from billing.usecases.open_attempt import WantedPayment, open_attempt
from billing.usecases.place_order import WantedOrder, place_order
from billing.workflows.checkout import Checkout

log = logging.getLogger(__name__)

BATCH = 50

PREPARES = frozenset({Step.REMIND, Step.CHARGE, Step.FALL_DUE})
"""Steps that need something to pay: the order that renews his subscription is there by then."""


class Calendar:
    """The worker's side of subscriptions and orders.

    Args:
        store: The three doors.
        checkout: Speaks with the providers.
        terms: How long each stage of a subscription lasts.
    """

    def __init__(self, store: BillingStore, checkout: Checkout, terms: Terms) -> None:
        self._store = store
        self._checkout = checkout
        self._terms = terms
        self._issuer = checkout.issuer

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
            if due.step.step is not Step.CHARGE:
                await advance_subscription(uow, due, self._terms, self._issuer, last=last, renewal=renewal)
        if due.step.step is Step.CHARGE and not await self._charge(tenant_id):
            return False
        log.info("subscription advanced", extra={"tenant_id": str(tenant_id), "step": due.step.step.value})
        return True

    async def _charge(self, tenant_id: UUID) -> bool:
        """Open the attempt with its keys, note that it was, and only then call; a call that fails is made up for by
        the janitor, as for any attempt.
        """
        provider = self._checkout.provider(Method.MTN_MOMO)
        payment = None
        async with self._store.for_tenant(tenant_id) as uow:
            found = await renewal_to_charge(uow, self._terms)
            if found is None:
                return False
            subscription, order = found
            if provider is not None and order is not None and subscription.auto_renew_phone:
                wanted = WantedPayment(
                    method=Method.MTN_MOMO,
                    currency=provider.currency,
                    phone_number=subscription.auto_renew_phone,
                    language=order.language,
                )
                payment = await open_attempt(uow, order.id, wanted, user_id=order.user_id)
            await note_charge(uow, subscription, self._terms)
        if payment is not None:
            await self._checkout.start(tenant_id, payment.id)
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
