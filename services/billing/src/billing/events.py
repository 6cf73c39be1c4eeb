"""The facts that billing publishes."""

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from common.audit import AuditRecorded
from common.messaging import Fact
from pydantic import BaseModel, ConfigDict

from billing.domain.credit_note import CreditNote
from billing.domain.dispute import Dispute
from billing.domain.invoice import Invoice
from billing.domain.order import Order
from billing.domain.payment import Payment
from billing.domain.period import Period
from billing.domain.plan import BoughtPlan
from billing.domain.refund import Refund
from billing.domain.subscription import Subscription


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
        document = plan.document()
        return cls(**{name: document[name] for name in cls.model_fields})


class PaidPeriod(_Part):
    """From when to when; ``anchor_day`` is the day of the month on which usage months begin."""

    starts_at: datetime
    ends_at: datetime
    anchor_day: int

    @classmethod
    def of(cls, period: Period) -> "PaidPeriod":
        return cls(starts_at=period.starts_at, ends_at=period.ends_at, anchor_day=period.anchor_day)


class OrderPlaced(Fact):
    """Somebody ordered, and pays or not. For kind ``new`` the tenant is an organization that may never be made."""

    name: ClassVar[str] = "order.placed"

    order_id: UUID
    order_number: str
    kind: str
    plan: str
    billing_cycle: str
    amount_minor: int
    currency: str

    @classmethod
    def of(cls, order: Order) -> "OrderPlaced":
        """Tell of a new order."""
        return cls(
            order_id=order.id,
            order_number=order.number,
            kind=order.kind,
            plan=order.plan.name,
            billing_cycle=order.cycle,
            amount_minor=order.amounts.total.amount_minor,
            currency=order.amounts.currency,
        )

    @classmethod
    def example(cls) -> "OrderPlaced":
        """Return a payload as consumers may expect it."""
        return cls(
            order_id=UUID("01970000-0000-7000-8000-000000000001"),
            order_number="ORD-20260131-4T7Q2M9XKA",
            kind="new",
            plan="silver",
            billing_cycle="monthly",
            amount_minor=50_000,
            currency="XAF",
        )


class PaymentFailed(Fact):
    """An attempt ended without money, while its order still waits for it; another attempt may pay it."""

    name: ClassVar[str] = "payment.failed"

    payment_id: UUID
    order_id: UUID
    order_number: str
    method: str
    amount_minor: int
    currency: str
    reason_code: str | None

    @classmethod
    def of(cls, order: Order, payment: Payment) -> "PaymentFailed":
        """Tell of an attempt that has just failed; the amount is what it was to pay of the order."""
        return cls(
            payment_id=payment.id,
            order_id=order.id,
            order_number=order.number,
            method=payment.method,
            amount_minor=payment.amount.amount_minor,
            currency=payment.amount.currency,
            reason_code=payment.reason_code,
        )

    @classmethod
    def example(cls) -> "PaymentFailed":
        """Return a payload as consumers may expect it."""
        return cls(
            payment_id=UUID("01970000-0000-7000-8000-000000000002"),
            order_id=UUID("01970000-0000-7000-8000-000000000001"),
            order_number="ORD-20260131-4T7Q2M9XKA",
            method="mtn_momo",
            amount_minor=50_000,
            currency="XAF",
            reason_code="APPROVAL_REJECTED",
        )


class InvoiceIssued(Fact):
    """An invoice has its number; it never changes, a credit note corrects it."""

    name: ClassVar[str] = "invoice.issued"

    invoice_id: UUID
    invoice_number: str
    order_id: UUID
    order_number: str
    amount_minor: int
    tax_minor: int
    currency: str
    issued_at: datetime

    @classmethod
    def of(cls, invoice: Invoice) -> "InvoiceIssued":
        """Tell of a new invoice."""
        return cls(
            invoice_id=invoice.id,
            invoice_number=invoice.number,
            order_id=invoice.order_id,
            order_number=invoice.order_number,
            amount_minor=invoice.amounts.total.amount_minor,
            tax_minor=invoice.amounts.tax.amount_minor,
            currency=invoice.amounts.currency,
            issued_at=invoice.issued_at,
        )

    @classmethod
    def example(cls) -> "InvoiceIssued":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(
            {
                "invoice_id": "01970000-0000-7000-8000-000000000003",
                "invoice_number": "EBM-2026-000001",
                "order_id": "01970000-0000-7000-8000-000000000001",
                "order_number": "ORD-20260131-4T7Q2M9XKA",
                "amount_minor": 50_000,
                "tax_minor": 0,
                "currency": "XAF",
                "issued_at": "2026-01-31T09:00:00Z",
            }
        )


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


class PaymentRefunded(Fact):
    """Money of a payment has gone back. ``is_full``: all that an order was paid; ``ends_period``: nothing paid is left.

    ``amount_minor`` is what was sent, ``worth_minor`` the same in the order's currency.
    """

    name: ClassVar[str] = "payment.refunded"

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    order_number: str
    credit_note_id: UUID | None
    method: str
    amount_minor: int
    currency: str
    worth_minor: int
    worth_currency: str
    is_full: bool
    ends_period: bool

    @classmethod
    def of(cls, order: Order, refund: Refund, note: CreditNote | None, *, ends_period: bool) -> "PaymentRefunded":
        """Tell of a completed refund; ``order`` is as before it."""
        from_order = note.total.amount_minor if note else 0
        return cls(
            refund_id=refund.id,
            payment_id=refund.payment_id,
            order_id=order.id,
            order_number=order.number,
            credit_note_id=note.id if note else None,
            method=refund.method,
            amount_minor=refund.amount.amount_minor,
            currency=refund.amount.currency,
            worth_minor=refund.worth.amount_minor,
            worth_currency=refund.worth.currency,
            is_full=note is not None and order.refunded_minor + from_order == order.allocated_minor,
            ends_period=ends_period,
        )

    @classmethod
    def example(cls) -> "PaymentRefunded":
        """Return a payload as consumers may expect it."""
        return cls(
            refund_id=UUID("01970000-0000-7000-8000-000000000005"),
            payment_id=UUID("01970000-0000-7000-8000-000000000002"),
            order_id=UUID("01970000-0000-7000-8000-000000000001"),
            order_number="ORD-20260131-4T7Q2M9XKA",
            credit_note_id=UUID("01970000-0000-7000-8000-000000000006"),
            method="paypal",
            amount_minor=7_622,
            currency="EUR",
            worth_minor=50_000,
            worth_currency="XAF",
            is_full=True,
            ends_period=True,
        )


class PaymentDisputed(Fact):
    """The payer or the provider takes money back: ``status`` is open, lost, or won, which is in our favour."""

    name: ClassVar[str] = "payment.disputed"

    dispute_id: UUID
    payment_id: UUID
    order_id: UUID
    order_number: str
    kind: str
    status: str
    reference: str
    reason: str

    @classmethod
    def of(cls, order: Order, payment: Payment, dispute: Dispute) -> "PaymentDisputed":
        """Tell how a dispute stands."""
        return cls(
            dispute_id=dispute.id,
            payment_id=payment.id,
            order_id=order.id,
            order_number=order.number,
            kind=dispute.kind,
            status=dispute.status,
            reference=dispute.reference,
            reason=dispute.reason,
        )

    @classmethod
    def example(cls) -> "PaymentDisputed":
        """Return a payload as consumers may expect it."""
        return cls(
            dispute_id=UUID("01970000-0000-7000-8000-000000000007"),
            payment_id=UUID("01970000-0000-7000-8000-000000000002"),
            order_id=UUID("01970000-0000-7000-8000-000000000001"),
            order_number="ORD-20260131-4T7Q2M9XKA",
            kind="dispute",
            status="open",
            reference="PP-D-27803",
            reason="MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        )


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


class SubscriptionState(Fact):
    """How a subscription stands: `order_id` and `period` are its last ones, `since` is when it came to its status."""

    is_state: ClassVar[bool] = True

    order_id: UUID
    billing_cycle: str
    plan: PlanAsBought
    period: PaidPeriod
    status: str
    since: datetime
    ends_at: datetime
    cancel_at_period_end: bool
    auto_renew: bool
    reason: str | None

    @classmethod
    def of(cls, subscription: Subscription, order_id: UUID, period: Period, **more: Any) -> Self:
        """Tell how a subscription stands after a step."""
        return cls(
            order_id=order_id,
            billing_cycle=subscription.cycle,
            plan=PlanAsBought.of(subscription.plan),
            period=PaidPeriod.of(period),
            status=subscription.status,
            since=subscription.status_since,
            ends_at=subscription.ends_at,
            cancel_at_period_end=subscription.cancel_at_period_end,
            auto_renew=subscription.auto_renew,
            reason=subscription.reason,
            **more,
        )


class SubscriptionRenewalDue(SubscriptionState):
    """The subscription ends in `days`; the order that renews it was made, unless its plan is not sold any more."""

    name: ClassVar[str] = "subscription.renewal_due"

    days: int
    renewal_order_id: UUID | None

    @classmethod
    def example(cls) -> "SubscriptionRenewalDue":
        """Return a payload as consumers may expect it."""
        renewal = {"days": 7, "renewal_order_id": "01970000-0000-7000-8000-000000000005"}
        return cls.model_validate(_EXAMPLE | _standing("active") | renewal)


class SubscriptionPastDue(SubscriptionState):
    """The paid time is over and nobody has paid for more; everything still works for the days of grace."""

    name: ClassVar[str] = "subscription.past_due"

    @classmethod
    def example(cls) -> "SubscriptionPastDue":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE | _standing("past_due", "unpaid"))


class SubscriptionSuspended(SubscriptionState):
    """The grace is over, or the money is disputed: `reason` is unpaid or dispute."""

    name: ClassVar[str] = "subscription.suspended"

    @classmethod
    def example(cls) -> "SubscriptionSuspended":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE | _standing("suspended", "unpaid"))


class SubscriptionShortened(SubscriptionState):
    """Money for a period went back: what is paid for ends earlier, at `ends_at`, and goes on until then."""

    name: ClassVar[str] = "subscription.shortened"

    @classmethod
    def example(cls) -> "SubscriptionShortened":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE | _standing("active"))


class SubscriptionEnded(SubscriptionState):
    """Only a new period brings it back: `reason` is unpaid, cancelled, dispute or refunded."""

    name: ClassVar[str] = "subscription.ended"

    @classmethod
    def example(cls) -> "SubscriptionEnded":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE | _standing("ended", "cancelled"))


class SubscriptionDeletionDue(SubscriptionState):
    """It ended long ago and its customer was warned often enough: whoever keeps the organization may delete it."""

    name: ClassVar[str] = "subscription.deletion_due"

    @classmethod
    def example(cls) -> "SubscriptionDeletionDue":
        """Return a payload as consumers may expect it."""
        return cls.model_validate(_EXAMPLE | _standing("ended", "unpaid"))


def _standing(status: str, reason: str | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "since": "2026-02-28T09:00:00Z",
        "ends_at": "2026-02-28T09:00:00Z",
        "cancel_at_period_end": reason == "cancelled",
        "auto_renew": False,
        "reason": reason,
    }


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

FACTS: tuple[type[Fact], ...] = (
    OrderPlaced,
    PaymentConfirmed,
    PaymentFailed,
    PaymentRefunded,
    PaymentDisputed,
    InvoiceIssued,
    SubscriptionRenewed,
    SubscriptionPlanChanged,
    SubscriptionRenewalDue,
    SubscriptionPastDue,
    SubscriptionSuspended,
    SubscriptionShortened,
    SubscriptionEnded,
    SubscriptionDeletionDue,
    AuditRecorded,
)
"""Every fact of billing; the contract files are made from these."""
