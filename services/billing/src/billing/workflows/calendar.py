"""What the calendar asks of billing: steps of subscriptions, paid changes that begin, unpaid orders that expire,
transfers that nobody looks at.

Any number of processes may run it: rows are claimed by one statement, and each step looks again under the
subscription's lock, so that none is taken twice.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from common.crash_points import reach

from billing.domain.lifecycle import Step, Terms
from billing.domain.order import Order, OrderKind, WantedOrder
from billing.domain.particulars import carried_over
from billing.domain.payment import Patience, Payment
from billing.domain.plan import Method
from billing.domain.subscription import Subscription
from billing.errors import AmountAboveLimit, CurrencyNotSold, PlanNotFound
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.usecases.advance_subscription import advance_subscription, due_step
from billing.usecases.charge_renewal import ChargeNotDue, find_renewal, note_charge
from billing.usecases.expire_order import expire_order
from billing.usecases.open_attempt import WantedPayment, open_attempt
from billing.usecases.pay_by_credit import pay_by_credit
from billing.usecases.place_order import place_order
from billing.usecases.remind_of_transfer import remind_of_transfer
from billing.usecases.start_changed_plan import start_changed_plan
from billing.usecases.steps.drafting import Selling
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
        patience: How long a submitted transfer waits.
    """

    def __init__(self, store: BillingStore, checkout: Checkout, terms: Terms, patience: Patience) -> None:
        self._store = store
        self._checkout = checkout
        self._terms = terms
        self._patience = patience
        self._issuer = checkout.issuer

    async def run_due(self) -> int:
        """Do all that is due: paid changes, steps of subscriptions, orders that expire, reminders; return how many."""
        done, changes = 0, None
        while True:
            async with self._store.for_system("janitor") as uow:
                # Changes are not claimed: each is looked for once a run, and begins under its order's lock.
                changes = await uow.orders.changes_due(BATCH) if changes is None else []
                subscriptions = await uow.subscriptions.claim_due(BATCH)
                orders = await uow.orders.claim_expired(BATCH)
                transfers = await uow.polling.claim_transfers(uow.clock.now() - self._patience.remind, BATCH)
            if not (changes or subscriptions or orders or transfers):
                return done
            if subscriptions:
                reach("billing.calendar.claimed")
            for tenant_id, order_id in changes:
                done += await self._each(tenant_id, self._start_change, order_id)
            for tenant_id in subscriptions:
                done += await self._each(tenant_id, self.advance)
            for tenant_id, order_id in orders:
                done += await self._each(tenant_id, self._expire, order_id)
            for transfer in transfers:
                done += await self._each(transfer.tenant_id, self._remind, transfer.payment_id)

    async def _each(self, tenant_id: UUID, act: Callable[..., Awaitable[bool]], *about: UUID) -> bool:
        """Do one thing. What cannot go on must not hold up the others; it is tried again at a later run."""
        try:
            return await act(tenant_id, *about)
        except Exception:
            log.exception("calendar: not done", extra={"tenant_id": str(tenant_id)})
            return False

    async def _start_change(self, tenant_id: UUID, order_id: UUID) -> bool:
        async with self._store.for_tenant(tenant_id) as uow:
            return await start_changed_plan(uow, order_id, self._issuer)

    async def _expire(self, tenant_id: UUID, order_id: UUID) -> bool:
        async with self._store.for_tenant(tenant_id) as uow:
            return await expire_order(uow, order_id, give_up=self._patience.give_up, issuer=self._issuer)

    async def _remind(self, tenant_id: UUID, payment_id: UUID) -> bool:
        async with self._store.for_tenant(tenant_id) as uow:
            return await remind_of_transfer(uow, payment_id, after=self._patience.remind)

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
        """Take the customer's credit, or else open the attempt with its keys, note that it was, and only then call.

        A call that fails is made up for by the janitor, as for any attempt.
        """
        async with self._store.for_tenant(tenant_id) as uow:
            renewal = await find_renewal(uow)
            if renewal is not None and await pay_by_credit(uow, renewal.id, self._issuer):
                return True
        try:
            async with self._store.for_tenant(tenant_id) as uow:
                renewal = await find_renewal(uow)
                payment = await self._attempt(uow, renewal) if renewal is not None else None
                await note_charge(uow, self._terms)
        except ChargeNotDue:
            return False
        reach("billing.charge.committed")
        if renewal is not None and payment is not None:
            await self._checkout.start(payment, renewal)
        return True

    async def _attempt(self, uow: UnitOfWork, order: Order) -> Payment | None:
        """Open the attempt; ``None`` where the customer is paying already, or nothing can be asked for."""
        subscription = await uow.subscriptions.find(uow.tenant_id)
        provider = self._checkout.provider(Method.MTN_MOMO)
        charged = provider.charges(order.amounts.currency) if provider else None
        if subscription is None or provider is None or charged is None or not subscription.auto_renew_phone:
            return None
        await uow.orders.lock(order.id)
        if any(attempt.is_offered for attempt in await uow.payments.of_order(order.id)):
            return None
        wanted = WantedPayment(
            method=Method.MTN_MOMO,
            currency=charged,
            most=provider.most,
            phone_number=subscription.auto_renew_phone,
            language=order.language,
        )
        try:
            return (await open_attempt(uow, order.id, wanted, user_id=order.user_id))[0]
        except AmountAboveLimit:
            # Nothing was written; the customer pays otherwise, as the reminders ask him to.
            return None

    async def _prepare_renewal(self, uow: UnitOfWork, subscription: Subscription, last: Order) -> Order | None:
        """Make the order that renews a subscription as it is; ``None`` where its plan is not sold any more."""
        wanted = WantedOrder(
            plan_id=subscription.plan.id,
            billing_cycle=subscription.cycle,
            customer=carried_over(last, await uow.particulars.known(subscription.tenant_id)),
            coupon_code=None,
            kind=OrderKind.RENEWAL,
            effective_now=False,
            language=last.language,
        )
        try:
            return await place_order(
                uow,
                wanted,
                Selling(self._issuer, subscription.currency),
                tenant_id=subscription.tenant_id,
                user_id=await uow.organizations.owner(subscription.tenant_id) or last.user_id,
                holds=subscription.ends_at - uow.clock.now() + self._terms.unpaid + timedelta(days=1),
                renews_at=subscription.ends_at,
            )
        except (PlanNotFound, CurrencyNotSold):
            return None


async def _last_order(uow: UnitOfWork) -> Order:
    last = await uow.subscriptions.last_period()
    assert last is not None, "a subscription is made by its first period"
    order = await uow.orders.find(last[0])
    assert order is not None
    return order
