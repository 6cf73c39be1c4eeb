"""Payments, invoices and what staff send about them."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from common.web import Answer, Body, OneLine
from pydantic import AwareDatetime, Field, StrictInt

from billing.domain.invoice import Invoice
from billing.domain.payment import Payment
from billing.domain.reason import explain_payment


class PaymentOut(Answer):
    id: UUID
    order_id: UUID
    payment_method: str
    status: str
    amount: str
    currency: str
    charged_amount: str
    charged_currency: str
    exchange_rate: str | None
    received_amount: str | None = Field(description="What arrived, which may be less or more than was asked for")
    received_currency: str | None
    reference: str
    receipt_reference: str | None
    redirect_url: str | None
    reason_code: str | None
    reason: str | None
    has_receipt: bool
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, payment: Payment, language: str, *, has_receipt: bool = False) -> "PaymentOut":
        rate = None
        if payment.charged.currency != payment.amount.currency:
            whole, rest = divmod(payment.rate_numerator, payment.rate_denominator)
            digits = len(str(payment.rate_denominator)) - 1
            rate = f"{whole}.{rest:0{digits}d}"
        return cls(
            id=payment.id,
            order_id=payment.order_id,
            payment_method=payment.method,
            status=payment.status,
            amount=payment.amount.decimal(),
            currency=payment.amount.currency,
            charged_amount=payment.charged.decimal(),
            charged_currency=payment.charged.currency,
            exchange_rate=rate,
            received_amount=payment.settled.decimal() if payment.settled else None,
            received_currency=payment.settled.currency if payment.settled else None,
            reference=payment.reference,
            receipt_reference=payment.receipt_reference,
            redirect_url=payment.redirect_url if payment.is_offered else None,
            reason_code=payment.reason_code,
            reason=explain_payment(payment, language),
            has_receipt=has_receipt,
            created_at=payment.created_at,
            completed_at=payment.completed_at,
        )


class ReceiptOut(Answer):
    id: UUID
    payment_id: UUID
    content_type: str
    size_bytes: int
    sha256: str


class CheckTransferIn(Body):
    approve: bool
    amount: str | None = Field(None, max_length=30)
    bank_reference: OneLine | None = Field(
        None, min_length=1, max_length=100, description="The bank's number of the movement, of one that is approved"
    )
    value_date: date | None = Field(None, description="Its value date at the bank")
    note: str = Field(
        "", max_length=1000, description="A rejection tells it to the customer, and needs one; an approval may have one"
    )


class RegisterTransferIn(Body):
    amount: str = Field(max_length=30, description="What arrived, in the order's currency")
    reason: str = Field(min_length=3, max_length=500, description="Why, for the audit log")


class InvoiceLineOut(Answer):
    kind: str
    description: str
    quantity: int
    unit_price: str
    total: str


class InvoiceOut(Answer):
    id: UUID
    invoice_number: str
    order_id: UUID
    order_number: str
    organization_id: UUID
    customer_name: str
    customer_email: str
    customer_address: str | None
    customer_rccm: str | None
    customer_niu: str | None
    currency: str
    subtotal: str
    discount_amount: str
    credit_amount: str
    tax_amount: str
    total_amount: str
    status: str
    issuer: dict[str, Any]
    lines: list[InvoiceLineOut]
    period_start: datetime
    period_end: datetime
    issued_at: datetime

    @classmethod
    def of(cls, invoice: Invoice, language: str) -> "InvoiceOut":
        amounts = invoice.amounts
        return cls(
            id=invoice.id,
            invoice_number=invoice.number,
            order_id=invoice.order_id,
            order_number=invoice.order_number,
            organization_id=invoice.tenant_id,
            customer_name=invoice.customer.name,
            customer_email=invoice.customer.email,
            customer_address=invoice.customer.address,
            customer_rccm=invoice.customer.rccm,
            customer_niu=invoice.customer.niu,
            currency=amounts.currency,
            subtotal=amounts.subtotal.decimal(),
            discount_amount=amounts.discount.decimal(),
            credit_amount=amounts.credit.decimal(),
            tax_amount=amounts.tax.decimal(),
            total_amount=amounts.total.decimal(),
            status="paid",
            issuer=invoice.issuer,
            lines=[
                InvoiceLineOut(
                    kind=line.kind,
                    description=line.label if language == "fr" else line.label_en,
                    quantity=line.quantity,
                    unit_price=line.unit.decimal(),
                    total=line.total.decimal(),
                )
                for line in invoice.lines
            ],
            period_start=invoice.period.starts_at,
            period_end=invoice.period.ends_at,
            issued_at=invoice.issued_at,
        )


class CouponIn(Body):
    code: str = Field(min_length=2, max_length=60, pattern=r"^[A-Za-z0-9_-]+$")
    percent: str | None = Field(None, pattern=r"^\d{1,3}(\.\d{1,2})?$", description="Such as 12.5; else «amounts»")
    amounts: dict[str, str] = Field({}, description="Fixed discount per currency, as decimal strings")
    minimum: dict[str, str] = Field({}, description="Least subtotal per currency")
    plan_ids: list[StrictInt] = Field([], description="Plans that it holds for; none for all")
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    max_redemptions: int | None = Field(None, ge=0, le=2**31 - 1, strict=True)
    max_per_customer: int | None = Field(None, ge=0, le=2**31 - 1, strict=True)
    reason: str = Field(min_length=3, max_length=500, description="Why, for the audit log")


class SwitchIn(Body):
    is_active: bool = Field(strict=True)
    reason: str = Field(min_length=3, max_length=500, description="Why, for the audit log")


class CouponOut(Answer):
    id: UUID
    code: str


class TransferOut(PaymentOut):
    """A payment as finance sees it: also what was seen at the bank, and who sent the same receipt."""

    organization_id: UUID
    bank_reference: str | None = Field(description="What was seen of an approved transfer at the bank")
    value_date: date | None
    receipt_repeats: list[UUID]

    @classmethod
    def of_tenant(cls, payment: Payment, language: str, receipts: dict[UUID, list[UUID]]) -> "TransferOut":
        """Show a payment; ``receipts`` names those that have one, as ``Receipts.repeats`` returns it."""
        shown = PaymentOut.of(payment, language, has_receipt=payment.id in receipts)
        return cls(
            **shown.model_dump(),
            organization_id=payment.tenant_id,
            bank_reference=payment.bank_reference,
            value_date=payment.value_on,
            receipt_repeats=receipts.get(payment.id, []),
        )
