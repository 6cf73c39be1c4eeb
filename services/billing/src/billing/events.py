"""The facts that billing publishes."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from common.messaging import Fact
from pydantic import BaseModel, ConfigDict

from billing.domain.order import Order
from billing.domain.period import Period
from billing.domain.plan import BoughtPlan


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanAsBought(_Part):
    """The plan with everything that it grants, as it was when it was ordered."""

    id: int
    name: str
    display_name: str
    quotas: dict[str, int]
    features: dict[str, bool]
    retention: dict[str, int]

    @classmethod
    def of(cls, plan: BoughtPlan) -> "PlanAsBought":
        return cls(**plan.document())


class PaidPeriod(_Part):
    """From when to when; ``anchor_day`` is the day of the month on which usage months begin."""

    starts_at: datetime
    ends_at: datetime
    anchor_day: int

    @classmethod
    def of(cls, period: Period) -> "PaidPeriod":
        return cls(starts_at=period.starts_at, ends_at=period.ends_at, anchor_day=period.anchor_day)


class PaymentConfirmed(Fact):
    """An order is fully paid. For kind ``new`` the tenant is an organization that is still to be made.

    It carries the customer's name and address because tenancy cannot make the organization without them.
    """

    name: ClassVar[str] = "payment.confirmed"

    order_id: UUID
    order_number: str
    payment_id: UUID | None
    invoice_id: UUID
    user_id: UUID
    customer_name: str
    customer_email: str
    language: str
    billing_cycle: str
    kind: str
    plan: PlanAsBought
    period: PaidPeriod
    amount_minor: int
    currency: str

    @classmethod
    def of(cls, order: Order, period: Period, *, invoice_id: UUID, payment_id: UUID | None) -> "PaymentConfirmed":
        """Tell of an order whose allocations reach its total."""
        return cls(
            order_id=order.id,
            order_number=order.number,
            payment_id=payment_id,
            invoice_id=invoice_id,
            user_id=order.user_id,
            customer_name=order.customer.name,
            customer_email=order.customer.email,
            language=order.language,
            billing_cycle=order.cycle,
            kind=order.kind,
            plan=PlanAsBought.of(order.plan),
            period=PaidPeriod.of(period),
            amount_minor=order.amounts.total.amount_minor,
            currency=order.amounts.currency,
        )

    @classmethod
    def example(cls) -> "PaymentConfirmed":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE | {"order_number": "ORD-20260131-4T7Q2M9XKA", "kind": "new"} | _PAID)


class _SubscriptionFact(Fact):
    is_state: ClassVar[bool] = True

    order_id: UUID
    billing_cycle: str
    plan: PlanAsBought
    period: PaidPeriod


class SubscriptionRenewed(_SubscriptionFact):
    """The subscription goes on with the same plan until ``period.ends_at``."""

    name: ClassVar[str] = "subscription.renewed"

    @classmethod
    def example(cls) -> "SubscriptionRenewed":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE)


class SubscriptionPlanChanged(_SubscriptionFact):
    """Another plan holds from now on; a change that was scheduled is told when it takes effect."""

    name: ClassVar[str] = "subscription.plan_changed"

    @classmethod
    def example(cls) -> "SubscriptionPlanChanged":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE)


_EXAMPLE = {
    "order_id": "01970000-0000-7000-8000-000000000001",
    "billing_cycle": "monthly",
    "plan": {
        "id": 2,
        "name": "silver",
        "display_name": "Silver",
        "quotas": {
            "max_esxi_servers": 5,
            "max_vms": 50,
            "max_backups_per_month": 500,
            "max_storage_gb": 500,
            "max_users": 5,
        },
        "features": {
            "has_replication": True,
            "has_surebackup": True,
            "has_email_notifications": True,
            "has_advanced_monitoring": True,
            "has_api_access": False,
            "has_priority_support": False,
        },
        "retention": {"snapshot_retention_days": 14, "backup_retention_days": 60},
    },
    "period": {"starts_at": "2026-01-31T09:00:00Z", "ends_at": "2026-02-28T09:00:00Z", "anchor_day": 31},
}

_PAID = {
    "payment_id": "01970000-0000-7000-8000-000000000002",
    "invoice_id": "01970000-0000-7000-8000-000000000003",
    "user_id": "01970000-0000-7000-8000-000000000004",
    "customer_name": "Entreprise XYZ",
    "customer_email": "contact@xyz.example",
    "language": "fr",
    "amount_minor": 50_000,
    "currency": "XAF",
}

FACTS: tuple[type[Fact], ...] = (PaymentConfirmed, SubscriptionRenewed, SubscriptionPlanChanged)
"""Every fact of billing; the contract files are made from these."""
