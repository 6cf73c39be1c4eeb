"""Complete a paid order when tenancy says that its organization exists, and keep tenancy's word on it."""

from typing import Any
from uuid import UUID

from common.errors import NotYet

from billing.domain.order import OrderKind, OrderPaymentStatus, OrderStatus
from billing.persistence.unit_of_work import UnitOfWork


async def learn_organization(uow: UnitOfWork, document: dict[str, Any], *, owner_id: UUID | None, version: int) -> None:
    """Keep what an event says about the tenant's organization; older news changes nothing."""
    await uow.organizations.learn(uow.tenant_id, document, owner_id, version)


async def complete_order(uow: UnitOfWork) -> None:
    """Complete the tenant's paid order for a new organization. A second time changes nothing.

    Raises:
        NotYet: There is no such order here (yet).
    """
    orders = await uow.orders.of_kind(OrderKind.NEW)
    if not orders:
        raise NotYet
    for order in orders:
        locked = await uow.orders.lock(order.id)
        if locked is not None and locked.status is OrderStatus.PAID:
            await uow.orders.move(locked, OrderStatus.COMPLETED, OrderPaymentStatus.of_settled(locked))
