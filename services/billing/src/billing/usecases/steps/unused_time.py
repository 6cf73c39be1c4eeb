"""What of an order's money has gone back, or is about to: by refunds, and as credit for time that a change replaced.

Whoever gives some of it back holds the subscription, so that nothing is given twice.
"""

from fractions import Fraction
from math import ceil
from uuid import UUID

from billing.domain.money import Money
from billing.domain.order import Order, OrderStatus
from billing.persistence.unit_of_work import UnitOfWork


async def left_of(uow: UnitOfWork, order: Order) -> Money:
    """Return what of an order, tax included, has gone back in no way; less than nothing where a provider took more.

    Args:
        uow: Open for the order's tenant; the subscription is held.
        order: As it stands now.
    """
    gone = order.refunded_minor + await uow.refunds.underway(order.id)
    return Money(order.allocated_minor - gone, order.amounts.currency) - await credited(uow, order)


async def credited(uow: UnitOfWork, order: Order) -> Money:
    """Return what of an order's money, tax included, the customer has back by a change that replaced its time."""
    bought = await uow.subscriptions.bought(order.id)
    if bought is None or bought.replaced_by is None:
        return Money.zero(order.amounts.currency)
    whole = bought.credited
    return Money(ceil(whole.amount_minor * await _still_his(uow, bought.replaced_by)), whole.currency)


async def _still_his(uow: UnitOfWork, change_id: UUID) -> Fraction:
    """Return which part of what a change credited the customer still has.

    All of it, until all of the change's money went back and nobody has its time any more: then nothing of what lowered
    its price, unless a later change credited that again. What became his credit stays it.
    """
    change = await uow.orders.find(change_id)
    period = await uow.subscriptions.bought(change_id)
    if change is None or period is None or change.proration is None or change.status is not OrderStatus.REFUNDED:
        return Fraction(1)
    of_price = Fraction(0)
    if period.replaced_by is not None:
        of_price = await _still_his(uow, period.replaced_by)
    elif period.replaced_at is None and period.period.ends_at > uow.clock.now():
        of_price = Fraction(1)
    whole = change.proration.credit(change.amounts.currency).amount_minor
    kept = Fraction(change.unspent.amount_minor, whole or 1)
    return kept + (1 - kept) * of_price


async def credits_too_much(uow: UnitOfWork, change: Order) -> bool:
    """Say whether a change would credit money that has gone back, or is asked back, since it was ordered."""
    for one in change.proration.unused if change.proration else ():
        if one.order_id is None:
            # Written before the orders were kept with it: what it credits could not be taken from refunds.
            return True
        order = await uow.orders.find(one.order_id)
        if order is None or one.money > await left_of(uow, order):
            return True
    return False
