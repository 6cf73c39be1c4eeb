"""Place an order: a draft at the server's price is kept, and its coupon's use counted."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from billing.domain.order import Order, WantedOrder
from billing.events import OrderPlaced
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.drafting import Selling, draft_order
from billing.usecases.steps.mails import order_received


async def place_order(
    uow: UnitOfWork,
    wanted: WantedOrder,
    selling: Selling,
    *,
    tenant_id: UUID,
    user_id: UUID,
    holds: timedelta,
    renews_at: datetime | None = None,
) -> Order:
    """Add an order with its frozen price, and count the coupon's use.

    Args:
        uow: Open for ``tenant_id``.
        wanted: What the customer submitted, its kind resolved.
        selling: How this deployment sells.
        tenant_id: The organization it is for; for a new one, the id that is reserved for it from now on.
        user_id: The buyer.
        holds: After how long it is cancelled unless it is paid.
        renews_at: The end for which a renewal is made ahead; ``None`` where a customer orders.

    Raises:
        DomainError: As `draft_order` says.
    """
    draft = await draft_order(uow, wanted, selling, tenant_id=tenant_id, user_id=user_id, held=True)
    order = replace(draft.order, effective_at=renews_at) if renews_at else draft.order
    await uow.orders.add(order, order.created_at + holds)
    if draft.coupon is not None:
        await uow.coupons.redeem(draft.coupon, order, order.amounts.discount)
    await uow.publish(OrderPlaced.of(order), subject=str(order.id))
    if order.amounts.total and renews_at is None:
        await uow.send_mail(order_received(order, selling.issuer))
    return order
