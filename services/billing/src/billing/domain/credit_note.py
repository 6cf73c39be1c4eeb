"""A credit note: what corrects an invoice, which itself never changes. It has a number of its own, without gaps."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.domain.invoice import Invoice
from billing.domain.money import Money
from billing.domain.order import Customer
from billing.domain.pricing import TaxLine

SERIES = "AV"
"""Added to the issuer's code: credit notes («avoirs») are counted apart from invoices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """One credit note, as its row. ``total`` is positive: what the customer gets back of the invoice."""

    tenant_id: UUID
    id: UUID
    invoice_id: UUID
    invoice_number: str
    refund_id: UUID | None
    issuer: dict[str, str]
    series: str
    year: int
    sequence: int
    number: str
    issued_at: datetime
    customer: Customer
    language: str
    net: Money
    taxes: tuple[TaxLine, ...]
    total: Money
    reason: str

    @property
    def tax(self) -> Money:
        return self.total - self.net


def credited_taxes(invoice: Invoice, before: Money, total: Money) -> tuple[TaxLine, ...]:
    """Return the taxes in a credit note, so that all notes of an invoice together never differ from it by rounding.

    Args:
        invoice: What is corrected.
        before: What earlier notes of it come to.
        total: What this one comes to.
    """
    whole = invoice.amounts.total.amount_minor
    after = (before + total).amount_minor
    return tuple(
        TaxLine(line.rate, line.amount.share(after, whole) - line.amount.share(before.amount_minor, whole))
        for line in invoice.amounts.taxes
    )
