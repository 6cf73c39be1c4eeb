"""Refunds and credit notes, and what finance sends about them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field

from billing.domain.credit_note import CreditNote
from billing.domain.refund import Refund

Reason = Annotated[str, Field(min_length=3, max_length=500, description="Why, for the audit log")]


class RefundIn(Body):
    amount: str | None = Field(
        None, max_length=30, description="In the currency that was charged; without it all that is left"
    )
    by_hand: bool = Field(default=False, description="A person sends it, though the provider could")
    reason: str = Field(min_length=3, max_length=500, description="Why: printed on the credit note, and for the audit")


class DecideRefundIn(Body):
    reason: Reason


class RecordRefundIn(Body):
    reference: str = Field(min_length=3, max_length=80, description="Of the movement of money")
    reason: Reason


class RefundOut(Answer):
    id: UUID
    organization_id: UUID
    payment_id: UUID
    order_id: UUID
    payment_method: str
    channel: str
    status: str
    amount: str
    currency: str
    from_order: str
    from_credit: str
    order_currency: str
    refund_reference: str | None
    reason: str
    reason_code: str | None
    requested_by: UUID | None
    decided_by: UUID | None
    created_at: datetime
    sent_at: datetime | None
    completed_at: datetime | None

    @classmethod
    def of(cls, refund: Refund) -> "RefundOut":
        return cls(
            id=refund.id,
            organization_id=refund.tenant_id,
            payment_id=refund.payment_id,
            order_id=refund.order_id,
            payment_method=refund.method,
            channel=refund.channel,
            status=refund.status,
            amount=refund.amount.decimal(),
            currency=refund.amount.currency,
            from_order=refund.from_order.decimal(),
            from_credit=refund.from_credit.decimal(),
            order_currency=refund.from_order.currency,
            refund_reference=refund.refund_reference,
            reason=refund.reason,
            reason_code=refund.reason_code,
            requested_by=refund.requested_by,
            decided_by=refund.decided_by,
            created_at=refund.created_at,
            sent_at=refund.sent_at,
            completed_at=refund.completed_at,
        )


class CreditNoteOut(Answer):
    id: UUID
    credit_note_number: str
    organization_id: UUID
    invoice_id: UUID
    invoice_number: str
    refund_id: UUID | None
    customer_name: str
    currency: str
    net_amount: str
    tax_amount: str
    total_amount: str
    reason: str
    issued_at: datetime

    @classmethod
    def of(cls, note: CreditNote) -> "CreditNoteOut":
        return cls(
            id=note.id,
            credit_note_number=note.number,
            organization_id=note.tenant_id,
            invoice_id=note.invoice_id,
            invoice_number=note.invoice_number,
            refund_id=note.refund_id,
            customer_name=note.customer.name,
            currency=note.total.currency,
            net_amount=note.net.decimal(),
            tax_amount=note.tax.decimal(),
            total_amount=note.total.decimal(),
            reason=note.reason,
            issued_at=note.issued_at,
        )
