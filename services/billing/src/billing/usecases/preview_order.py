"""Show what placing an order would charge. Nothing is written, held or counted."""

from dataclasses import dataclass
from uuid import UUID

from billing.domain.money import Money
from billing.domain.order import Order, OrderKind, WantedOrder
from billing.domain.usage import Excess, over_quota
from billing.persistence.unit_of_work import UnitOfWork
from billing.usecases.steps.drafting import Selling, draft_order


@dataclass(frozen=True, slots=True)
class Preview:
    """An order as it would be placed now.

    Attributes:
        order: A draft, its id and number are nobody's; or the unpaid order that placing would return.
        excess: What is used beyond the plan that a change brings; ``None`` for other orders.
        balance: What of the customer's credit would pay it.
    """

    order: Order
    excess: tuple[Excess, ...] | None
    balance: Money

    @property
    def due(self) -> Money:
        """What a payment would be asked for."""
        return self.order.outstanding - self.balance


async def preview_order(
    uow: UnitOfWork, wanted: WantedOrder, selling: Selling, *, tenant_id: UUID, user_id: UUID
) -> Preview:
    """Return what `place_order` would keep, and what would be left to pay.

    Args:
        uow: Open for ``tenant_id``.
        wanted: What the customer would submit, its kind resolved.
        selling: How this deployment sells.
        tenant_id: The organization it is for.
        user_id: The buyer.

    Raises:
        DomainError: As `draft_order` says: what would be refused is refused here.
    """
    draft = await draft_order(uow, wanted, selling, tenant_id=tenant_id, user_id=user_id, held=False)
    return await preview_of(uow, draft.order)


async def preview_of(uow: UnitOfWork, order: Order) -> Preview:
    """Return what is left to pay of a draft, or of an unpaid order that placing would return."""
    excess = None
    if order.kind is OrderKind.CHANGE:
        excess = over_quota(await uow.usage.known(order.tenant_id), order.plan.quotas)
    due = order.outstanding
    credit = await uow.ledger.credit(due.currency)
    return Preview(order, excess, min(max(credit, Money.zero(due.currency)), due))
