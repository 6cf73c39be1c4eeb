"""Orders. A state is written by `move` only, which asks ``domain.transitions``."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import Row, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.order import (
    SETTLED,
    UNPAID,
    Customer,
    Order,
    OrderKind,
    OrderPaymentStatus,
    OrderStatus,
)
from billing.domain.plan import BillingCycle, BoughtPlan
from billing.domain.pricing import Amounts, TaxLine, TaxRate
from billing.domain.proration import Proration
from billing.domain.transitions import order_may_become
from billing.persistence.paging import newest_first
from billing.persistence.tables import orders

CLAIM = timedelta(hours=6)
"""How long an order that could not expire, for it is being paid, is left alone."""


def taxes_document(amounts: Amounts) -> list[dict[str, Any]]:
    """Return the tax lines as JSON for a row."""
    return [
        {
            "label": line.rate.label,
            "label_en": line.rate.label_en,
            "thousandths": line.rate.thousandths,
            "amount_minor": line.amount.amount_minor,
        }
        for line in amounts.taxes
    ]


def amounts_of(row: Row[Any]) -> Amounts:
    """Read the amounts that orders and invoices both have."""
    return Amounts(
        subtotal=Money(row.subtotal_minor, row.currency),
        discount=Money(row.discount_minor, row.currency),
        credit=Money(row.credit_minor, row.currency),
        taxes=tuple(
            TaxLine(
                TaxRate(tax["label"], tax["label_en"], tax["thousandths"]), Money(tax["amount_minor"], row.currency)
            )
            for tax in row.taxes
        ),
        total=Money(row.total_minor, row.currency),
    )


def customer_of(row: Row[Any]) -> Customer:
    """Read who buys; orders and invoices both have it."""
    return Customer(
        row.customer_name,
        row.customer_email,
        row.customer_phone,
        row.customer_address,
        row.customer_rccm,
        row.customer_niu,
    )


def customer_columns(customer: Customer) -> dict[str, str | None]:
    """Return the columns that `customer_of` reads."""
    return {
        "customer_name": customer.name,
        "customer_email": customer.email,
        "customer_phone": customer.phone,
        "customer_address": customer.address,
        "customer_rccm": customer.rccm,
        "customer_niu": customer.niu,
    }


def _order(row: Row[Any]) -> Order:
    return Order(
        tenant_id=row.tenant_id,
        id=row.id,
        user_id=row.user_id,
        number=row.order_number,
        kind=OrderKind(row.kind),
        plan=BoughtPlan.of(row.plan),
        cycle=BillingCycle(row.billing_cycle),
        customer=customer_of(row),
        language=row.language,
        amounts=amounts_of(row),
        coupon_id=row.coupon_id,
        coupon_code=row.coupon_code,
        status=OrderStatus(row.status),
        payment_status=OrderPaymentStatus(row.payment_status),
        allocated_minor=row.allocated_minor,
        fingerprint=row.fingerprint,
        effective_at=row.effective_at,
        created_at=row.created_at,
        refunded_minor=row.refunded_minor,
        proration=Proration.read(row.proration) if row.proration else None,
    )


class Orders:
    """Orders that the transaction's door lets through: a tenant's, or a buyer's own."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def add(self, order: Order, expires_at: datetime) -> None:
        """Insert a new order, which is cancelled at ``expires_at`` unless it is paid by then."""
        await self._session.execute(
            insert(orders).values(
                tenant_id=order.tenant_id,
                id=order.id,
                user_id=order.user_id,
                order_number=order.number,
                kind=order.kind,
                plan_id=order.plan.id,
                plan=order.plan.document(),
                billing_cycle=order.cycle,
                **customer_columns(order.customer),
                language=order.language,
                currency=order.amounts.currency,
                subtotal_minor=order.amounts.subtotal.amount_minor,
                discount_minor=order.amounts.discount.amount_minor,
                credit_minor=order.amounts.credit.amount_minor,
                total_minor=order.amounts.total.amount_minor,
                taxes=taxes_document(order.amounts),
                coupon_id=order.coupon_id,
                coupon_code=order.coupon_code,
                status=order.status,
                payment_status=order.payment_status,
                allocated_minor=0,
                refunded_minor=0,
                proration=order.proration.document() if order.proration else None,
                fingerprint=order.fingerprint,
                effective_at=order.effective_at,
                expires_at=expires_at,
                created_at=order.created_at,
                updated_at=order.created_at,
            )
        )

    async def find(self, order_id: UUID) -> Order | None:
        """Return an order, unlocked."""
        row = (await self._session.execute(select(orders).where(orders.c.id == order_id))).one_or_none()
        return _order(row) if row else None

    async def lock(self, order_id: UUID) -> Order | None:
        """Return an order and hold it: the first lock of every transaction about money."""
        row = (
            await self._session.execute(select(orders).where(orders.c.id == order_id).with_for_update())
        ).one_or_none()
        return _order(row) if row else None

    async def page(
        self,
        after: UUID | None,
        limit: int,
        *,
        status: OrderStatus | None = None,
        order_id: UUID | None = None,
        number: str | None = None,
        tenant_id: UUID | None = None,
    ) -> list[Order]:
        """Return visible orders, newest first, that are older than ``after``."""
        query = newest_first(
            orders,
            after,
            limit,
            {
                orders.c.status: status,
                orders.c.id: order_id,
                orders.c.order_number: number,
                orders.c.tenant_id: tenant_id,
            },
        )
        return [_order(row) for row in await self._session.execute(query)]

    async def unpaid_of(self, user_id: UUID, since: datetime) -> list[Order]:
        """Return a buyer's orders that still wait for payment, newest first."""
        rows = await self._session.execute(
            select(orders)
            .where(orders.c.user_id == user_id, orders.c.status.in_(UNPAID), orders.c.created_at >= since)
            .order_by(orders.c.created_at.desc(), orders.c.id.desc())
            .limit(20)
        )
        return [_order(row) for row in rows]

    async def settled_of(self, user_id: UUID, since: datetime) -> list[Order]:
        """Return a buyer's orders that were placed since then and are paid for already, newest first."""
        rows = await self._session.execute(
            select(orders)
            .where(orders.c.user_id == user_id, orders.c.status.in_(SETTLED), orders.c.created_at >= since)
            .order_by(orders.c.created_at.desc(), orders.c.id.desc())
            .limit(20)
        )
        return [_order(row) for row in rows]

    async def of_kind(self, kind: OrderKind) -> list[Order]:
        """Return the visible orders of one kind, oldest first."""
        rows = await self._session.execute(select(orders).where(orders.c.kind == kind).order_by(orders.c.id))
        return [_order(row) for row in rows]

    async def changes_due(self, limit: int) -> list[tuple[UUID, UUID]]:
        """Return tenant and id of paid changes whose day has come; through the janitor's door."""
        rows = await self._session.execute(
            select(orders.c.tenant_id, orders.c.id)
            .where(orders.c.status == OrderStatus.PROCESSING, orders.c.effective_at <= self._clock.now())
            .limit(limit)
        )
        return [(row.tenant_id, row.id) for row in rows]

    async def renewal_of(self, plan_id: int, ends_at: datetime) -> Order | None:
        """Return the unpaid order that was made ahead for a renewal at ``ends_at``."""
        row = (
            await self._session.execute(
                select(orders)
                .where(
                    orders.c.kind == OrderKind.RENEWAL,
                    orders.c.plan_id == plan_id,
                    orders.c.effective_at == ends_at,
                    orders.c.status.in_(UNPAID),
                )
                .order_by(orders.c.id.desc())
                .limit(1)
            )
        ).one_or_none()
        return _order(row) if row else None

    async def claim_expired(self, limit: int) -> list[tuple[UUID, UUID]]:
        """Take unpaid orders whose time is over and put them off by `CLAIM`, in one statement; the janitor's door."""
        now = self._clock.now()
        due = (
            select(orders.c.tenant_id, orders.c.id)
            .where(orders.c.expires_at <= now)
            .order_by(orders.c.expires_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        taken = await self._session.execute(
            update(orders)
            .where(tuple_(orders.c.tenant_id, orders.c.id).in_(select(due.c.tenant_id, due.c.id)))
            .values(expires_at=now + CLAIM)
            .returning(orders.c.tenant_id, orders.c.id)
        )
        return [(row.tenant_id, row.id) for row in taken]

    async def move(self, order: Order, wanted: OrderStatus, payment_status: OrderPaymentStatus) -> bool:
        """Move a locked order where the table allows it; the derived status is written either way.

        Returns:
            Whether the order's state moved.
        """
        moves = order_may_become(order.status, wanted)
        if not moves and payment_status is order.payment_status:
            return False
        status = wanted if moves else order.status
        await self._session.execute(
            update(orders)
            .where(orders.c.id == order.id)
            .values(
                status=status,
                payment_status=payment_status,
                expires_at=orders.c.expires_at if status in UNPAID else None,
                updated_at=self._clock.now(),
            )
        )
        return moves

    async def allocate(self, order: Order, amount: Money) -> None:
        """Add to what a locked order has received."""
        assert amount.currency == order.amounts.currency
        await self._session.execute(
            update(orders)
            .where(orders.c.id == order.id)
            .values(allocated_minor=orders.c.allocated_minor + amount.amount_minor)
        )

    async def take_back(self, order: Order, *, allocated: Money, refunded: Money) -> None:
        """Note money that went back: taken from what an unsettled order has received, beside it on a settled one."""
        await self._session.execute(
            update(orders)
            .where(orders.c.id == order.id)
            .values(
                allocated_minor=orders.c.allocated_minor - allocated.amount_minor,
                refunded_minor=orders.c.refunded_minor + refunded.amount_minor,
            )
        )

    async def take_effect(self, order: Order, at: datetime) -> None:
        """Note when a paid change takes effect."""
        await self._session.execute(update(orders).where(orders.c.id == order.id).values(effective_at=at))
