"""An order: one plan for one cycle, at a price that is frozen when it is placed.

Its two states move by the tables in ``domain.transitions`` only. Not here: payments (``domain.payment``).
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money
from billing.domain.plan import BillingCycle, BoughtPlan
from billing.domain.pricing import Amounts
from billing.domain.proration import Proration

SAME_ORDER_WINDOW = timedelta(hours=1)
"""An unpaid order that is the same in every submitted field is the same order for this long: a reload, not a wish."""

SECOND_CLICK = timedelta(minutes=1)
"""An order that credit or a coupon has paid is the same for this long where no Idempotency-Key tells two wishes apart:
who clicks twice on a change that costs nothing wants one change, and not a renewal of it."""

CHANGE_HOLDS = timedelta(days=5)
"""How long the price of a change holds, for its credit is of time that passes; a bank transfer takes so long."""


class OrderStatus(StrEnum):
    """Where an order stands."""

    PENDING = "pending"
    PAYMENT_PENDING = "payment_pending"
    PAID = "paid"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class OrderPaymentStatus(StrEnum):
    """What has been paid of an order; derived, see `payment_status`."""

    UNPAID = "unpaid"
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"

    @classmethod
    def of_settled(cls, order: "Order") -> "OrderPaymentStatus":
        """Return what a settled order says whose state moves on."""
        return cls.PARTIALLY_REFUNDED if order.refunded_minor else cls.PAID


class OrderKind(StrEnum):
    """What paying the order does."""

    NEW = "new"
    RENEWAL = "renewal"
    CHANGE = "change"


UNPAID = frozenset({OrderStatus.PENDING, OrderStatus.PAYMENT_PENDING, OrderStatus.FAILED})
"""States in which an order is still offered for payment."""

PAID_FOR = frozenset({OrderPaymentStatus.PAID, OrderPaymentStatus.PARTIALLY_REFUNDED})
"""What an order says of its payment while the customer has what he bought."""

SETTLED = frozenset({OrderStatus.PAID, OrderStatus.PROCESSING, OrderStatus.COMPLETED, OrderStatus.REFUNDED})
"""States that only money can have brought about."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who buys, as he wrote it; ``name`` becomes the name of a new organization.

    Address, trade register and taxpayer number are what an accountant needs on an invoice; he may leave them out.
    """

    name: str
    email: str
    phone: str | None = None
    address: str | None = None
    rccm: str | None = None
    niu: str | None = None

    def filled_from(self, known: "Customer") -> "Customer":
        """Return what was said, with what is known in the place of what was left empty."""
        return Customer(**{one.name: getattr(self, one.name) or getattr(known, one.name) for one in fields(Customer)})


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
    currency: str | None = None
    """``None``: the subscription's, for a new organization the deployment's."""

    def fingerprint(self, tenant_id: UUID | None) -> str:
        """Return what two submissions of the same wish have in common.

        Args:
            tenant_id: The organization that it is for; ``None`` for a new one.
        """
        submitted = asdict(self) | {"tenant": str(tenant_id)}
        if self.currency is None:  # as in what was kept before there was a choice
            del submitted["currency"]
        return hashlib.sha256(json.dumps(submitted, sort_keys=True, default=str).encode()).hexdigest()

    def is_of(self, order: "Order", tenant_id: UUID | None) -> bool:
        """Say whether submitting it would be submitting an order again.

        One that names no customer yet is taken as that order's customer's; and of one that was made ahead, which names
        what is known of him, a customer need not say all of it.
        """
        asked = self if self.customer.name else replace(self, customer=order.customer, language=order.language)
        if order.is_made_ahead:
            asked = replace(asked, customer=asked.customer.filled_from(order.customer))
        return asked.fingerprint(tenant_id) == order.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, as its row."""

    tenant_id: UUID
    id: UUID
    user_id: UUID
    number: str
    kind: OrderKind
    plan: BoughtPlan
    cycle: BillingCycle
    customer: Customer
    language: str
    amounts: Amounts
    coupon_id: UUID | None
    coupon_code: str | None
    status: OrderStatus
    payment_status: OrderPaymentStatus
    allocated_minor: int
    fingerprint: str
    effective_at: datetime | None
    created_at: datetime
    refunded_minor: int = 0
    proration: Proration | None = None

    @property
    def is_made_ahead(self) -> bool:
        """Whether the calendar made it: a renewal of which nobody typed anything."""
        return self.kind is OrderKind.RENEWAL and self.effective_at is not None

    @property
    def outstanding(self) -> Money:
        """What is still to pay."""
        return Money(max(self.amounts.total.amount_minor - self.allocated_minor, 0), self.amounts.currency)

    @property
    def unspent(self) -> Money:
        """What the unused time that a change replaces is worth beyond what the change costs."""
        currency = self.amounts.currency
        return self.proration.credit(currency) - self.amounts.credit if self.proration else Money.zero(currency)

    @property
    def is_covered(self) -> bool:
        """Whether the allocations reach the total."""
        return self.allocated_minor >= self.amounts.total.amount_minor


def payment_status(
    order: OrderStatus, *, covered: bool, has_open: bool, has_failed: bool, has_refund: bool = False
) -> OrderPaymentStatus:
    """Derive what an order says about its payment.

    Args:
        order: The order's state, already moved.
        covered: Whether the allocations reach the total.
        has_open: Whether one of its payments may still succeed and is offered.
        has_failed: Whether one of them failed.
        has_refund: Whether a part of what it was paid went back.
    """
    if order is OrderStatus.REFUNDED:
        return OrderPaymentStatus.REFUNDED
    if covered and order in SETTLED:
        return OrderPaymentStatus.PARTIALLY_REFUNDED if has_refund else OrderPaymentStatus.PAID
    if has_open:
        return OrderPaymentStatus.PENDING
    return OrderPaymentStatus.FAILED if has_failed else OrderPaymentStatus.UNPAID
