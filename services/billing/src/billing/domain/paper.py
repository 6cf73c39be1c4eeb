"""What an invoice or a credit note says on paper: stored facts only, in the order in which an accountant reads them.

Particulars are those of OHADA's and Cameroon's rules: both parties with RCCM and NIU, number and date, label, quantity,
unit price and total before tax, discounts, each tax with its rate, total with tax, the sum in words (loi 2015/018
art. 37; Code général des impôts). Not here: how it is drawn (``adapters.invoice_pdf``).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from billing.domain.credit_note import CreditNote
from billing.domain.invoice import Invoice, InvoiceLine, Settlement
from billing.domain.money import Money
from billing.domain.order import Customer
from billing.domain.period import Period
from billing.domain.pricing import Amounts


class PaperKind(StrEnum):
    """Which document it is."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True)
class Corrected:
    """The invoice that a credit note corrects, and why."""

    number: str
    issued_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One document. Amounts and lines are printed with the signs that they have."""

    kind: PaperKind
    number: str
    issued_at: datetime
    language: str
    issuer: dict[str, str]
    customer: Customer
    order_number: str
    lines: tuple[InvoiceLine, ...]
    amounts: Amounts
    period: Period | None = None
    settlement: Settlement | None = None
    corrected: Corrected | None = None


def paper_of(invoice: Invoice) -> Paper:
    """Return what an invoice says."""
    return Paper(
        kind=PaperKind.INVOICE,
        number=invoice.number,
        issued_at=invoice.issued_at,
        language=invoice.language,
        issuer=invoice.issuer,
        customer=invoice.customer,
        order_number=invoice.order_number,
        lines=invoice.lines,
        amounts=invoice.amounts,
        period=invoice.period,
        settlement=invoice.settlement,
    )


def paper_of_note(note: CreditNote, invoice: Invoice) -> Paper:
    """Return what a credit note says; its customer's particulars are those of the invoice that it corrects."""
    nothing = Money.zero(note.total.currency)
    return Paper(
        kind=PaperKind.CREDIT_NOTE,
        number=note.number,
        issued_at=note.issued_at,
        language=note.language,
        issuer=note.issuer,
        customer=invoice.customer,
        order_number=invoice.order_number,
        lines=(
            InvoiceLine(
                "item",
                f"Avoir sur la facture {invoice.number}",
                f"Credit on invoice {invoice.number}",
                1,
                note.net,
                note.net,
            ),
        ),
        amounts=Amounts(subtotal=note.net, discount=nothing, credit=nothing, taxes=note.taxes, total=note.total),
        corrected=Corrected(invoice.number, invoice.issued_at, note.reason),
    )
