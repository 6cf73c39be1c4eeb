"""Draft an order: what it would be if it were placed now. No field of the request reaches a price.

`place_order` keeps the draft and `preview_order` shows it, so that both say the same.
"""

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from common.ids import uuid7

from billing.domain.coupon import Coupon, CouponRefusal
from billing.domain.invoice import Issuer
from billing.domain.money import Money
from billing.domain.order import Order, OrderKind, OrderPaymentStatus, OrderStatus, WantedOrder
from billing.domain.plan import BillingCycle, Plan
from billing.domain.pricing import amounts
from billing.domain.proration import Proration
from billing.domain.subscription import Subscription
from billing.domain.usage import over_quota
from billing.errors import (
    CouponRefused,
    CurrencyNotSold,
    DowngradeOverUsage,
    PlanNotFound,
    RenewalOfAnotherPlan,
    SubscriptionDisputed,
    SubscriptionInAnotherCurrency,
    SubscriptionMissing,
)
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.holding import is_held

NUMBER_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No character that is mistaken for another when read aloud: people quote these numbers to their bank."""


@dataclass(frozen=True, slots=True)
class Selling:
    """How a deployment sells.

    Attributes:
        issuer: Who will invoice, with the taxes that it charges.
        currency: Of orders for a new organization that name none.
        payable: Currencies that one of the methods takes; ``None`` where that does not matter.
    """

    issuer: Issuer
    currency: str
    payable: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that is nowhere yet, and the coupon that it would use."""

    order: Order
    coupon: Coupon | None


def order_number(at: datetime) -> str:
    """Return a number that can be read aloud: the day and ten characters (49 bits) of chance."""
    return f"ORD-{at:%Y%m%d}-" + "".join(secrets.choice(NUMBER_ALPHABET) for _ in range(10))


@dataclass(frozen=True, slots=True)
class _Terms:
    """What an existing subscription means for a new order."""

    proration: Proration | None = None
    effective_at: datetime | None = None

    def credit(self, currency: str) -> Money:
        return self.proration.credit(currency) if self.proration else Money.zero(currency)


async def price_of(
    uow: UnitOfWork,
    selling: Selling,
    plan_id: int,
    cycle: BillingCycle,
    currency: str | None,
    running: Subscription | None,
    *,
    is_renewal: bool = False,
) -> tuple[Plan, Money]:
    """Return a plan and what it costs a customer, before coupons and tax.

    Args:
        uow: Sees the catalogue.
        selling: How this deployment sells.
        plan_id: The plan.
        cycle: How often it is paid.
        currency: What he wants to pay in; ``None`` for what his subscription is in, else the deployment's.
        running: His subscription, if he has one.
        is_renewal: Whether the price that he bought at holds on.

    Raises:
        PlanNotFound: No such plan on sale.
        CurrencyNotSold: The plan has no price in the currency, or no method takes it.
    """
    plan = await uow.catalogue.plan(plan_id)
    if plan is None:
        raise PlanNotFound
    if is_renewal and running is not None:
        # A changed price is for those who buy from now on; who renews has the terms that he bought.
        plan = await uow.catalogue.as_bought(plan, running.plan.version)
    currency = currency or (running.currency if running else selling.currency)
    sold = [known for known in plan.currencies(cycle) if selling.payable is None or known in selling.payable]
    price = plan.price(cycle, currency)
    if price is None or currency not in sold:
        raise CurrencyNotSold(currency=currency, sold=", ".join(sold))
    return plan, price


async def _coupon(uow: UnitOfWork, wanted: WantedOrder, user_id: UUID, price: Money, *, held: bool) -> Coupon | None:
    if wanted.coupon_code is None:
        return None
    coupon = await (uow.coupons.lock if held else uow.coupons.find)(wanted.coupon_code)
    if coupon is None:
        raise CouponRefused(reason=CouponRefusal.UNKNOWN.value)
    refusal = coupon.refusal(
        plan_id=wanted.plan_id, subtotal=price, now=uow.clock.now()
    ) or await uow.coupons.customer_refusal(coupon, user_id)
    if refusal is not None:
        raise CouponRefused(reason=refusal.value)
    return coupon


async def _terms(
    uow: UnitOfWork, wanted: WantedOrder, running: Subscription | None, plan: Plan, currency: str
) -> _Terms:
    if wanted.kind is OrderKind.NEW:
        return _Terms()
    if running is None:
        raise SubscriptionMissing
    if currency != running.currency and running.keeps_its_currency(uow.clock.now()):
        raise SubscriptionInAnotherCurrency(currency=currency, running=running.currency)
    if wanted.kind is OrderKind.RENEWAL:
        # It sets the plan of all that is paid ahead: a month of a dearer plan must not turn a cheap year into it.
        # And where a smaller plan waits for its day, what follows it is of that plan: by a change, not a renewal.
        if running.plan.id != plan.id or not await uow.subscriptions.paid_ahead_is_of(plan.id):
            raise RenewalOfAnotherPlan
        return _Terms()
    return await _change(uow, wanted, running, plan, currency)


async def _change(uow: UnitOfWork, wanted: WantedOrder, running: Subscription, plan: Plan, currency: str) -> _Terms:
    now = uow.clock.now()
    if await is_held(uow):
        raise SubscriptionDisputed
    former = await uow.catalogue.known(running.plan.id)
    cheaper = former is not None and _monthly(plan, currency) < _monthly(former, currency)
    if cheaper and running.ends_at > now and not wanted.effective_now:
        return _Terms(effective_at=running.ends_at)
    if cheaper or running.ends_at <= now:
        await _must_fit(uow, running, plan)
    return _Terms(Proration.of(await uow.subscriptions.periods_ahead(now), now))


async def _must_fit(uow: UnitOfWork, running: Subscription, plan: Plan) -> None:
    """Refuse a plan that would begin at once and is too small for what is used; a later one is scheduled."""
    excess = over_quota(await uow.usage.known(running.tenant_id), plan.quotas)
    if excess:
        raise DowngradeOverUsage(
            resources=", ".join(f"{one.resource} {one.current} > {one.limit}" for one in excess),
            over_quota=[asdict(one) | {"to_free": one.to_free} for one in excess],
        )


def _monthly(plan: Plan, currency: str) -> Money:
    price = plan.price(BillingCycle.MONTHLY, currency)
    return price if price is not None else Money.zero(currency)


async def draft_order(
    uow: UnitOfWork, wanted: WantedOrder, selling: Selling, *, tenant_id: UUID, user_id: UUID, held: bool
) -> Draft:
    """Compute what an order would be; nothing is written.

    Args:
        uow: Open for ``tenant_id``.
        wanted: What the customer submitted, its kind resolved.
        selling: How this deployment sells.
        tenant_id: The organization it is for.
        user_id: The buyer.
        held: Whether the coupon is locked, for its use is counted in this transaction.

    Raises:
        PlanNotFound: No such plan on sale.
        CurrencyNotSold: The plan has no price in the currency, or no method takes it.
        CouponRefused: The coupon does not hold, or is used up.
        SubscriptionMissing: A renewal or change of what was never bought.
        SubscriptionInAnotherCurrency: What is paid ahead is in another currency.
        RenewalOfAnotherPlan: Only a change brings another plan.
        SubscriptionDisputed: A change, while the money for what it replaces is disputed.
        DowngradeOverUsage: The plan would begin at once, and more is used than it allows.
    """
    is_new = wanted.kind is OrderKind.NEW
    running = None if is_new else await uow.subscriptions.find(tenant_id)
    is_renewal = wanted.kind is OrderKind.RENEWAL
    plan, price = await price_of(
        uow, selling, wanted.plan_id, wanted.billing_cycle, wanted.currency, running, is_renewal=is_renewal
    )
    coupon = await _coupon(uow, wanted, user_id, price, held=held)
    terms = await _terms(uow, wanted, running, plan, price.currency)
    discount = coupon.discount(price) if coupon else Money.zero(price.currency)
    now = uow.clock.now()
    order = Order(
        tenant_id=tenant_id,
        id=uuid7(),
        user_id=user_id,
        number=order_number(now),
        kind=wanted.kind,
        plan=plan.bought(),
        cycle=wanted.billing_cycle,
        customer=wanted.customer,
        language=wanted.language,
        amounts=amounts(price, discount, selling.issuer.tax_rates, terms.credit(price.currency)),
        proration=terms.proration,
        coupon_id=coupon.id if coupon else None,
        coupon_code=coupon.code if coupon else None,
        status=OrderStatus.PENDING,
        payment_status=OrderPaymentStatus.UNPAID,
        allocated_minor=0,
        fingerprint=wanted.fingerprint(None if is_new else tenant_id),
        effective_at=terms.effective_at,
        created_at=now,
    )
    return Draft(order, coupon)
