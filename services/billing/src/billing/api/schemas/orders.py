"""Orders, initiating and verifying a payment."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from common.web import Answer, Body, OneLine
from pydantic import EmailStr, Field

from billing.domain.order import Customer, Order, OrderKind, WantedOrder
from billing.domain.plan import BillingCycle
from billing.domain.usage import Excess
from billing.domain.wording import explain_proration

CurrencyIn = Annotated[
    str | None,
    Field(pattern=r"^[A-Z]{3}$", description="One that the plan has a price in; else the subscription's or our own"),
]


class PricedIn(Body):
    """The fields of an order that its price depends on, and whom its invoice names, as far as that is known."""

    plan_id: int = Field(ge=1, le=2**31 - 1, strict=True)
    billing_cycle: BillingCycle
    currency: CurrencyIn = None
    coupon_code: str | None = Field(None, max_length=60)
    organization_id: UUID | None = None
    kind: OrderKind | None = None
    effective: Literal["now", "period_end"] | None = None

    customer_name: OneLine | None = Field(None, min_length=1, max_length=200)
    customer_email: EmailStr | None = None
    customer_phone: str | None = Field(None, max_length=40)
    customer_address: OneLine | None = Field(None, max_length=300, description="For the invoice")
    customer_rccm: OneLine | None = Field(None, max_length=60, description="Trade register number, for the invoice")
    customer_niu: OneLine | None = Field(None, max_length=60, description="Taxpayer number, for the invoice")

    @property
    def customer(self) -> Customer:
        """Who buys, or would buy."""
        return Customer(
            self.customer_name or "",
            self.customer_email or "",
            self.customer_phone or None,
            self.customer_address or None,
            self.customer_rccm or None,
            self.customer_niu or None,
        )

    def wanted(self, language: str) -> WantedOrder:
        """Return the wish; its kind is resolved later."""
        return WantedOrder(
            plan_id=self.plan_id,
            billing_cycle=self.billing_cycle,
            customer=self.customer,
            coupon_code=self.coupon_code or None,
            kind=self.kind or OrderKind.NEW,
            effective_now=self.effective == "now",
            language=language,
            currency=self.currency,
        )


class OrderIn(PricedIn):
    """An order, with whom its invoice names."""

    customer_name: OneLine = Field(min_length=1, max_length=200)
    customer_email: EmailStr


class PlanRef(Answer):
    id: int
    name: str
    display_name: str


class ExcessOut(Answer):
    """What is used now beyond the plan of a change, and how much of it has to go before the change takes effect."""

    resource: str
    limit: int
    current: int
    to_free: int

    @classmethod
    def of(cls, excess: Excess) -> "ExcessOut":
        return cls(resource=excess.resource, limit=excess.limit, current=excess.current, to_free=excess.to_free)


class UnusedOut(Answer):
    """A paid period that the change cuts short; ``per_day_minor`` is for people, the credit is to the second."""

    starts_at: datetime
    ends_at: datetime
    cost_minor: int
    days: str
    days_left: str
    per_day_minor: int
    credit_minor: int


class ProrationOut(Answer):
    """How the credit of a change comes about, in minor units and before tax, and the same as a sentence."""

    at: datetime
    currency: str
    unused: list[UnusedOut]
    credit_minor: int
    price_minor: int
    credit_used_minor: int
    credit_left_minor: int
    tax_minor: int
    due_minor: int
    explanation: str

    @classmethod
    def of(cls, order: Order, language: str) -> "ProrationOut | None":
        found = order.proration
        if found is None or not found.unused:
            return None
        amounts = order.amounts
        return cls(
            at=found.at,
            currency=amounts.currency,
            unused=[
                UnusedOut(
                    starts_at=one.starts_at,
                    ends_at=one.ends_at,
                    cost_minor=one.cost.amount_minor,
                    days=one.days,
                    days_left=one.days_left(found.at),
                    per_day_minor=one.per_day.amount_minor,
                    credit_minor=one.credit.amount_minor,
                )
                for one in found.unused
            ],
            credit_minor=found.credit(amounts.currency).amount_minor,
            price_minor=amounts.worth.amount_minor,
            credit_used_minor=amounts.credit.amount_minor,
            credit_left_minor=order.unspent.amount_minor,
            tax_minor=amounts.tax.amount_minor,
            due_minor=amounts.total.amount_minor,
            explanation=explain_proration(order, language),
        )


class OrderOut(Answer):
    id: UUID
    order_number: str
    kind: str
    plan: PlanRef
    billing_cycle: str
    customer_name: str
    customer_email: str
    customer_phone: str | None
    customer_address: str | None
    customer_rccm: str | None
    customer_niu: str | None
    coupon_code: str | None
    subtotal: str
    discount_amount: str
    credit_amount: str
    tax_amount: str
    total_amount: str
    outstanding_amount: str = Field(description="What of the total has not been paid yet")
    currency: str
    status: str
    payment_status: str
    organization: dict[str, Any] | None
    effective_at: datetime | None
    over_quota: list[ExcessOut] | None = None
    proration: ProrationOut | None = None
    created_at: datetime

    @classmethod
    def of(
        cls, order: Order, organization: dict[str, Any] | None, excess: tuple[Excess, ...] | None = None
    ) -> "OrderOut":
        return cls(
            id=order.id,
            order_number=order.number,
            kind=order.kind,
            plan=PlanRef(id=order.plan.id, name=order.plan.name, display_name=order.plan.display_name),
            billing_cycle=order.cycle,
            customer_name=order.customer.name,
            customer_email=order.customer.email,
            customer_phone=order.customer.phone,
            customer_address=order.customer.address,
            customer_rccm=order.customer.rccm,
            customer_niu=order.customer.niu,
            coupon_code=order.coupon_code,
            subtotal=order.amounts.subtotal.decimal(),
            discount_amount=order.amounts.discount.decimal(),
            credit_amount=order.amounts.credit.decimal(),
            tax_amount=order.amounts.tax.decimal(),
            total_amount=order.amounts.total.decimal(),
            outstanding_amount=order.outstanding.decimal(),
            currency=order.amounts.currency,
            status=order.status,
            payment_status=order.payment_status,
            organization=organization,
            effective_at=order.effective_at,
            over_quota=None if excess is None else [ExcessOut.of(one) for one in excess],
            proration=ProrationOut.of(order, order.language),
            created_at=order.created_at,
        )


class InitiateIn(Body):
    payment_method_id: int = Field(ge=0, le=2**31 - 1, strict=True)
    order_id: UUID | None = None
    return_url: str | None = Field(None, max_length=2000)
    cancel_url: str | None = Field(None, max_length=2000)
    phone_number: str | None = Field(None, max_length=40)


class BankDetails(Answer):
    bank_name: str
    account_name: str
    account_number: str
    swift_code: str
    iban: str
    branch: str
    reference: str
    amount: str
    currency: str


class InitiateOut(Answer):
    payment_id: UUID
    status: str
    message: str
    redirect_url: str | None = None
    bank_details: BankDetails | None = None


class VerifyOut(Answer):
    success: bool
    status: str
    payment_status: str
    message: str | None
    organization: dict[str, Any] | None


class ValidateIn(Body):
    code: str = Field(min_length=1, max_length=60)
    plan_id: int = Field(ge=1, le=2**31 - 1, strict=True)
    billing_cycle: BillingCycle
    currency: CurrencyIn = None


class ValidateOut(Answer):
    valid: bool
    discount_amount: str
    total_amount: str
    currency: str
    reason: str | None
    message: str | None = Field(description="The same for people; none where it holds")
