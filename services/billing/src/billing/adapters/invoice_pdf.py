"""An invoice as PDF: the stored data and nothing else, so that rendering it again gives the same bytes.

Fonts are the PDF's own (no file to carry), so text is what Latin-1 can write; anything else is shown as «?».
"""

from typing import Any

from babel.dates import format_date
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from billing.domain.invoice import Invoice
from billing.domain.money import Money

_TEXTS = {
    "fr": {
        "title": "Facture", "to": "Facturé à", "date": "Date", "order": "Commande", "period": "Période",
        "label": "Désignation", "quantity": "Qté", "unit": "Prix unitaire", "amount": "Montant",
        "net": "Total HT", "tax": "TVA", "total": "Total TTC", "total_untaxed": "Total",
        "untaxed": "TVA non applicable.", "paid": "Acquittée.", "rccm": "RCCM", "niu": "NIU", "to_date": "au",
    },
    "en": {
        "title": "Invoice", "to": "Billed to", "date": "Date", "order": "Order", "period": "Period",
        "label": "Description", "quantity": "Qty", "unit": "Unit price", "amount": "Amount",
        "net": "Total before tax", "tax": "VAT", "total": "Total with tax", "total_untaxed": "Total",
        "untaxed": "VAT not applicable.", "paid": "Paid.", "rccm": "RCCM", "niu": "NIU", "to_date": "to",
    },
}  # fmt: skip

_WIDTHS = (92, 14, 37, 37)
"""Columns of the lines, in millimetres; together the width between the margins of an A4 page."""


def _plain(text: str) -> str:
    return text.replace("\u202f", " ").replace("\u00a0", " ").encode("latin-1", "replace").decode("latin-1")


def _grouped(money: Money) -> str:
    """Return the amount with its thousands apart, as French and English readers of francs both read it."""
    whole, _, fraction = money.decimal().partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    groups: list[str] = []
    while digits:
        groups.insert(0, digits[-3:])
        digits = digits[:-3]
    return f"{sign}{' '.join(groups)}{',' + fraction if fraction else ''} {money.currency}"


class _Sheet:
    """One page with a cursor; all texts go through `_plain`."""

    def __init__(self, invoice: Invoice) -> None:
        self.texts = _TEXTS[invoice.language if invoice.language in _TEXTS else "fr"]
        self.pdf = FPDF(format="A4")
        self.pdf.set_creation_date(invoice.issued_at)
        self.pdf.set_title(_plain(f"{self.texts['title']} {invoice.number}"))
        self.pdf.set_author(_plain(invoice.issuer["name"]))
        self.pdf.set_margin(15)
        self.pdf.add_page()

    def say(self, text: str, *, size: int = 10, bold: bool = False, align: str = "L") -> None:
        self.pdf.set_font("helvetica", "B" if bold else "", size)
        self.pdf.multi_cell(0, (size + 1) // 2, _plain(text), align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def gap(self, millimetres: int) -> None:
        self.pdf.ln(millimetres)

    def row(self, cells: tuple[str, str, str, str], *, bold: bool = False, border: str = "B") -> None:
        self.pdf.set_font("helvetica", "B" if bold else "", 9)
        top = self.pdf.get_y()
        self.pdf.multi_cell(_WIDTHS[0], 6, _plain(cells[0]), border=border, new_x=XPos.RIGHT, new_y=YPos.NEXT)
        bottom = self.pdf.get_y()
        self.pdf.set_xy(self.pdf.l_margin + _WIDTHS[0], top)
        for width, text in zip(_WIDTHS[1:], cells[1:], strict=True):
            self.pdf.cell(width, bottom - top, _plain(text), border=border, align="R")
        self.pdf.set_xy(self.pdf.l_margin, bottom)

    def total(self, label: str, money: Money, *, bold: bool = False) -> None:
        self.pdf.set_font("helvetica", "B" if bold else "", 10)
        self.pdf.cell(sum(_WIDTHS[:3]), 7, _plain(label), align="R")
        self.pdf.cell(_WIDTHS[3], 7, _plain(_grouped(money)), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _head(sheet: _Sheet, invoice: Invoice) -> None:
    issuer, texts = invoice.issuer, sheet.texts
    sheet.say(issuer["name"], size=14, bold=True)
    known = [
        issuer["address"],
        issuer["email"],
        *(f"{texts[name]} : {issuer[name]}" for name in ("rccm", "niu") if issuer[name]),
    ]
    for line in known:
        if line:
            sheet.say(line, size=9)
    sheet.gap(8)
    sheet.say(f"{texts['title']} {invoice.number}", size=18, bold=True)
    sheet.gap(2)
    day: Any = lambda at: format_date(at, "long", locale=invoice.language)  # noqa: E731
    sheet.say(f"{texts['date']} : {day(invoice.issued_at)}")
    sheet.say(f"{texts['order']} : {invoice.order_number}")
    sheet.say(f"{texts['period']} : {day(invoice.period.starts_at)} {texts['to_date']} {day(invoice.period.ends_at)}")
    sheet.gap(6)
    sheet.say(texts["to"], bold=True)
    for line in (invoice.customer.name, invoice.customer.email, invoice.customer.phone or ""):
        if line:
            sheet.say(line)
    sheet.gap(8)


def _lines(sheet: _Sheet, invoice: Invoice) -> None:
    texts = sheet.texts
    sheet.row((texts["label"], texts["quantity"], texts["unit"], texts["amount"]), bold=True)
    for line in invoice.lines:
        if line.kind == "tax":
            continue
        label = line.label if invoice.language == "fr" else line.label_en
        sheet.row((label, str(line.quantity), _grouped(line.unit), _grouped(line.total)))
    sheet.gap(4)


def _totals(sheet: _Sheet, invoice: Invoice) -> None:
    amounts, texts = invoice.amounts, sheet.texts
    if amounts.taxes:
        sheet.total(texts["net"], amounts.net)
        for tax in amounts.taxes:
            sheet.total(tax.rate.label if invoice.language == "fr" else tax.rate.label_en, tax.amount)
        sheet.total(texts["total"], amounts.total, bold=True)
    else:
        sheet.total(texts["total_untaxed"], amounts.total, bold=True)
        sheet.gap(4)
        sheet.say(texts["untaxed"], size=9)
    sheet.gap(2)
    sheet.say(texts["paid"], bold=True)


def invoice_pdf(invoice: Invoice) -> bytes:
    """Return the invoice as PDF, in its own language; the same invoice always gives the same bytes."""
    sheet = _Sheet(invoice)
    _head(sheet, invoice)
    _lines(sheet, invoice)
    _totals(sheet, invoice)
    return bytes(sheet.pdf.output())
