"""Place an order: the server computes the price; no field of the request reaches it."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from common.ids import uuid7

from billing.domain.catalogue import CATALOGUE_CURRENCY
from billing.domain.coupon import Coupon, CouponRefusal
from billing.domain.invoice import Issuer
from billing.domain.money import Money
from billing.domain.order import Customer, Order, OrderKind, OrderPaymentStatus, OrderStatus
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
    SubscriptionMissing,
)
from billing.events import OrderPlaced
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.holding import is_held
from billing.usecases.steps.mails import order_received

NUMBER_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No character that is mistaken for another when read aloud: people quote these numbers to their bank."""


@dataclass(frozen=True, slots=True)
class WantedOrder:
    """What a customer submits, and nothing that he could set a price with."""

    plan_id: int
    billing_cycle: BillingCycle
    customer: Customer
    coupon_code: str | None
    kind: OrderKind
    effective_now: bool
    language: str

    def fingerprint(self, tenant_id: UUID | None) -> str:
        """Return what two submissions of the same wish have in common.

        Args:
            tenant_id: The organization that it is for; ``None`` for a new one.
        """
        submitted = asdict(self) | {"tenant": str(tenant_id)}
        return hashlib.sha256(json.dumps(submitted, sort_keys=True, default=str).encode()).hexdigest()


def order_number(at: datetime) -> str:
    """Return a number that can be read aloud: the day and ten characters (49 bits) of chance."""
    return f"ORD-{at:%Y%m%d}-" + "".join(secrets.choice(NUMBER_ALPHABET) for _ in range(10))


async def _coupon(uow: UnitOfWork, wanted: WantedOrder, user_id: UUID, price: Money) -> Coupon | None:
    if wanted.coupon_code is None:
        return None
    coupon = await uow.coupons.lock(wanted.coupon_code)
    if coupon is None:
        raise CouponRefused(reason=CouponRefusal.UNKNOWN.value)
    refusal = coupon.refusal(
        plan_id=wanted.plan_id, subtotal=price, now=uow.clock.now()
    ) or await uow.coupons.customer_refusal(coupon, user_id)
    if refusal is not None:
        raise CouponRefused(reason=refusal.value)
    return coupon


@dataclass(frozen=True, slots=True)
class _Terms:
    """What an existing subscription means for a new order."""

    proration: Proration | None = None
    effective_at: datetime | None = None

    def credit(self, currency: str) -> Money:
        return self.proration.credit(currency) if self.proration else Money.zero(currency)


async def _terms(uow: UnitOfWork, wanted: WantedOrder, tenant_id: UUID, plan: Plan) -> _Terms:
    if wanted.kind is OrderKind.NEW:
        return _Terms()
    running = await uow.subscriptions.find(tenant_id)
    if running is None:
        raise SubscriptionMissing
    if wanted.kind is OrderKind.RENEWAL:
        # It sets the plan of all that is paid ahead: a month of a dearer plan must not turn a cheap year into it.
        # And where a smaller plan waits for its day, what follows it is of that plan: by a change, not a renewal.
        if running.plan.id != plan.id or not await uow.subscriptions.paid_ahead_is_of(plan.id):
            raise RenewalOfAnotherPlan
        return _Terms()
    return await _change(uow, wanted, running, plan)


async def _change(uow: UnitOfWork, wanted: WantedOrder, running: Subscription, plan: Plan) -> _Terms:
    now = uow.clock.now()
    if await is_held(uow, running):
        raise SubscriptionDisputed
    former = await uow.catalogue.plan(running.plan.id)
    cheaper = former is not None and _monthly(plan) < _monthly(former)
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


def _monthly(plan: Plan) -> Money:
    price = plan.price(BillingCycle.MONTHLY, CATALOGUE_CURRENCY)
    return price if price is not None else Money.zero(CATALOGUE_CURRENCY)


async def place_order(
    uow: UnitOfWork,
    wanted: WantedOrder,
    *,
    tenant_id: UUID,
    user_id: UUID,
    issuer: Issuer,
    holds: timedelta,
    renews_at: datetime | None = None,
) -> Order:
    """Add an order with its frozen price, and count the coupon's use.

    Args:
        uow: Open for ``tenant_id``.
        wanted: What the customer submitted, its kind resolved.
        tenant_id: The organization it is for; for a new one, the id that is reserved for it from now on.
        user_id: The buyer.
        issuer: Who will invoice it, with the taxes that it charges.
        holds: After how long it is cancelled unless it is paid.
        renews_at: The end for which a renewal is made ahead; ``None`` where a customer orders.

    Raises:
        PlanNotFound: No such plan on sale.
        CurrencyNotSold: The plan has no price in the catalogue's currency.
        CouponRefused: The coupon does not hold, or is used up.
        SubscriptionMissing: A renewal or change of what was never bought.
        RenewalOfAnotherPlan: Only a change brings another plan.
        SubscriptionDisputed: A change, while the money for what it replaces is disputed.
        DowngradeOverUsage: The plan would begin at once, and more is used than it allows.
    """
    plan = await uow.catalogue.plan(wanted.plan_id)
    if plan is None:
        raise PlanNotFound
    if wanted.kind is OrderKind.RENEWAL and (running := await uow.subscriptions.find(tenant_id)) is not None:
        # A changed price is for those who buy from now on; who renews has the terms that he bought.
        plan = await uow.catalogue.as_bought(plan, running.plan.version)
    price = plan.price(wanted.billing_cycle, CATALOGUE_CURRENCY)
    if price is None:
        raise CurrencyNotSold(currency=CATALOGUE_CURRENCY)
    coupon = await _coupon(uow, wanted, user_id, price)
    terms = await _terms(uow, wanted, tenant_id, plan)
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
        amounts=amounts(price, discount, issuer.tax_rates, terms.credit(price.currency)),
        proration=terms.proration,
        coupon_id=coupon.id if coupon else None,
        coupon_code=coupon.code if coupon else None,
        status=OrderStatus.PENDING,
        payment_status=OrderPaymentStatus.UNPAID,
        allocated_minor=0,
        fingerprint=wanted.fingerprint(None if wanted.kind is OrderKind.NEW else tenant_id),
        effective_at=renews_at or terms.effective_at,
        created_at=now,
    )
    await uow.orders.add(order, now + holds)
    if coupon is not None:
        await uow.coupons.redeem(coupon, order, order.amounts.discount)
    await uow.publish(OrderPlaced.of(order), subject=str(order.id))
    if order.amounts.total and renews_at is None:
        await uow.send_mail(order_received(order, issuer))
    return order
