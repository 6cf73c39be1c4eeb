"""What an order would cost."""

from datetime import datetime

from common.web import Answer
from pydantic import Field

from billing.api.schemas.orders import ExcessOut, PlanRef, ProrationOut
from billing.domain.money import Money
from billing.domain.plan import PaymentMethod
from billing.usecases.preview_order import Preview


class TaxOut(Answer):
    label: str
    amount: str


class OfferedOut(Answer):
    """A way to pay it: what would be charged, in the currency that the method takes."""

    id: int
    name: str
    display_name: str
    is_automatic: bool
    charged_amount: str
    charged_currency: str

    @classmethod
    def of(cls, method: PaymentMethod, charged: Money) -> "OfferedOut":
        return cls(
            id=method.id,
            name=method.name,
            display_name=method.display_name,
            is_automatic=method.is_automatic,
            charged_amount=charged.decimal(),
            charged_currency=charged.currency,
        )


class PreviewOut(Answer):
    """The amounts that the order would have, and what of its total is left to pay beside the customer's credit."""

    kind: str
    plan: PlanRef
    billing_cycle: str
    coupon_code: str | None
    subtotal: str
    discount_amount: str
    credit_amount: str = Field(description="Unused time of what a change replaces, as `proration` works it out")
    tax_amount: str
    taxes: list[TaxOut]
    total_amount: str
    balance_used_amount: str = Field(description="What of the customer's credit pays it")
    due_amount: str
    currency: str
    effective_at: datetime | None
    over_quota: list[ExcessOut] | None
    proration: ProrationOut | None
    payment_methods: list[OfferedOut] = Field(description="Those that pay what is due; none where nothing is")

    @classmethod
    def of(cls, preview: Preview, language: str, offered: list[OfferedOut]) -> "PreviewOut":
        order, excess = preview.order, preview.excess
        amounts = order.amounts
        return cls(
            kind=order.kind,
            plan=PlanRef(id=order.plan.id, name=order.plan.name, display_name=order.plan.display_name),
            billing_cycle=order.cycle,
            coupon_code=order.coupon_code,
            subtotal=amounts.subtotal.decimal(),
            discount_amount=amounts.discount.decimal(),
            credit_amount=amounts.credit.decimal(),
            tax_amount=amounts.tax.decimal(),
            taxes=[
                TaxOut(label=line.rate.label if language == "fr" else line.rate.label_en, amount=line.amount.decimal())
                for line in amounts.taxes
            ],
            total_amount=amounts.total.decimal(),
            balance_used_amount=preview.balance.decimal(),
            due_amount=preview.due.decimal(),
            currency=amounts.currency,
            effective_at=order.effective_at,
            over_quota=None if excess is None else [ExcessOut.of(one) for one in excess],
            proration=ProrationOut.of(order, language),
            payment_methods=offered,
        )
