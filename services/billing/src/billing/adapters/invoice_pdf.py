"""Invoices and credit notes as PDF: the stored data and nothing else, so that drawing again gives the same bytes.

The font is carried along (``fonts/``): names are written as they are spelt, and text can be searched and copied. A
letter that it does not have is shown as a box.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from billing.domain.credit_note import CreditNote
from billing.domain.invoice import Invoice, Settlement
from billing.domain.money import Money
from billing.domain.paper import Paper, PaperKind, paper_of, paper_of_note
from billing.domain.pricing import VAT_CAMEROON, Amounts
from billing.domain.wording import amount_text, day_text, spoken
from billing.domain.words import amount_in_words

FONTS = Path(__file__).parents[1] / "fonts"

_TEXTS = {
    "fr": {
        "invoice": "Facture", "credit_note": "Avoir", "number": "N°", "date": "Date d'émission", "to": "Facturé à",
        "references": "Références", "order": "Commande", "period": "Période", "until": "au", "corrects": "Rectifie",
        "of": "du", "reason": "Motif", "terms": "Règlement", "terms_text": "Comptant, à la commande",
        "label": "Désignation", "quantity": "Qté", "unit": "Prix unitaire", "amount": "Montant", "untaxed_mark": "",
        "taxed_mark": " HT", "gross": "Total brut", "discount": "Remise", "credit": "Avoir sur période en cours",
        "net": "Total HT", "total": "Total TTC", "total_untaxed": "Total", "total_credit": "Total de l'avoir",
        "invoice_words": "Arrêtée la présente facture à la somme de",
        "credit_note_words": "Arrêté le présent avoir à la somme de",
        "taxed_words": "toutes taxes comprises", "colon": "\u00a0:", "phone": "Tél.", "page": "Page",
        "untaxed": "TVA non applicable : l'émetteur n'est pas assujetti à la TVA.",
        "taxed": "TVA au taux de 17,5 % majorée de 10 % de centimes additionnels communaux, soit 19,25 %"
        " (Code général des impôts, art. 142).",
        "paid": "Acquittée", "paid_on": "Réglée le {day}", "by": "par {method}", "reference": "Référence {reference}",
        "nothing_due": "Aucun montant à régler", "tax_regime": "Régime", "tax_office": "Centre des impôts",
        "paypal": "PayPal", "mtn_momo": "MTN Mobile Money", "bank_transfer": "virement bancaire",
        "customer_credit": "imputation sur votre crédit", "full_stop": ".",
    },
    "en": {
        "invoice": "Invoice", "credit_note": "Credit note", "number": "No.", "date": "Date of issue", "to": "Billed to",
        "references": "References", "order": "Order", "period": "Period", "until": "to", "corrects": "Corrects",
        "of": "of", "reason": "Reason", "terms": "Terms", "terms_text": "Payable on order",
        "label": "Description", "quantity": "Qty", "unit": "Unit price", "amount": "Amount", "untaxed_mark": "",
        "taxed_mark": " excl. tax", "gross": "Gross total", "discount": "Discount",
        "credit": "Credit for the running period",
        "net": "Total excl. tax", "total": "Total incl. tax", "total_untaxed": "Total",
        "total_credit": "Total of the credit note",
        "invoice_words": "This invoice amounts to", "credit_note_words": "This credit note amounts to",
        "taxed_words": "all taxes included", "colon": ":", "phone": "Tel.", "page": "Page",
        "untaxed": "VAT not applicable: the issuer is not registered for VAT.",
        "taxed": "VAT at 17.5% plus the council surcharge of 10% of it, 19.25% in all"
        " (General Tax Code of Cameroon, section 142).",
        "paid": "Paid", "paid_on": "Paid on {day}", "by": "by {method}", "reference": "Reference {reference}",
        "nothing_due": "Nothing to pay", "tax_regime": "Tax regime", "tax_office": "Tax office",
        "paypal": "PayPal", "mtn_momo": "MTN Mobile Money", "bank_transfer": "bank transfer",
        "customer_credit": "charge to your credit", "full_stop": ".",
    },
}  # fmt: skip

_INK, _GREY, _ACCENT = (29, 39, 51), (91, 107, 124), (31, 95, 153)
_PALE, _RULE, _GREEN = (240, 244, 249), (210, 219, 229), (32, 122, 76)

_MARGIN = 18.0
"""Millimetres on each side of an A4 page."""
_WIDTH = 210 - 2 * _MARGIN
_COLUMNS = (_WIDTH - 84.0, 14.0, 35.0, 35.0)
"""Label, quantity, unit price, amount, in millimetres."""
_HALF = 84.0
"""Width of each of two blocks that stand side by side."""

_SUMS_HEIGHT = 62.0
"""Room for the totals and the sum in words, which belong together."""


class _Sheet(FPDF):
    """An A4 page in the document's language; the foot is on each page."""

    def __init__(self, paper: Paper) -> None:
        super().__init__(format="A4")
        self.paper = paper
        self.language = spoken(paper.language)
        self.texts = _TEXTS[self.language]
        self.add_font("paper", "", FONTS / "DejaVuSansCondensed.ttf")
        self.add_font("paper", "B", FONTS / "DejaVuSansCondensed-Bold.ttf")
        self.set_creation_date(paper.issued_at)
        self.set_title(f"{self.texts[paper.kind]} {paper.number}")
        self.set_author(paper.issuer["name"])
        self.set_lang(self.language)
        self.set_margins(_MARGIN, 16, _MARGIN)
        self.set_auto_page_break(auto=True, margin=26)
        self.c_margin = 0
        self.add_page()

    def style(self, size: float, color: tuple[int, int, int] = _INK, *, bold: bool = False) -> None:
        self.set_font("paper", "B" if bold else "", size)
        self.set_text_color(*color)

    def write_at(self, x: float, width: float, text: str, height: float = 4.6, align: str = "L") -> None:
        """Write a paragraph from here down, wrapped to a width; the next one goes below it."""
        self.set_x(x)
        self.multi_cell(width, height, text, align=align, new_x=XPos.LEFT, new_y=YPos.NEXT)

    def pair(self, x: float, width: float, label: str, value: str, *, label_width: float = 26.0) -> None:
        """Write a grey label and its value beside it."""
        top = self.get_y()
        self.style(8.5, _GREY)
        self.write_at(x, label_width, label)
        bottom = self.get_y()
        self.set_y(top)
        self.style(8.5)
        self.write_at(x + label_width, width - label_width, value)
        self.set_y(max(bottom, self.get_y()))

    def count_lines(self, width: float, text: str) -> int:
        """Return how many lines a paragraph takes in the present style."""
        lines: Any = self.multi_cell(width, text=text, dry_run=True, output="LINES")
        return len(lines)

    def footer(self) -> None:
        """Draw the issuer's line and the page's number."""
        self.set_y(-19)
        self.set_draw_color(*_RULE)
        self.set_line_width(0.2)
        self.line(_MARGIN, self.get_y(), 210 - _MARGIN, self.get_y())
        self.ln(2)
        issuer = self.paper.issuer
        parts = [issuer["name"], issuer.get("legal", ""), _registers(issuer)]
        self.style(7, _GREY)
        self.multi_cell(_WIDTH - 24, 3.6, " · ".join(filter(None, parts)), new_x=XPos.LMARGIN, new_y=YPos.TOP)
        # The count of pages is written later in the place of {nb}, which is wider than it.
        self.set_x(210 - _MARGIN - 22 + self.get_string_width("{nb}") - self.get_string_width("1"))
        self.cell(22, 3.6, f"{self.texts['page']} {self.page_no()}/{{nb}}", align="R")


def _registers(party: dict[str, str]) -> str:
    """Return trade register and taxpayer number of the issuer, as far as they are set."""
    return " · ".join(f"{name} {party[key]}" for name, key in (("RCCM", "rccm"), ("NIU", "niu")) if party.get(key))


def _issuer_lines(sheet: _Sheet) -> Iterable[str]:
    issuer, texts = sheet.paper.issuer, sheet.texts
    yield issuer["address"]
    yield issuer.get("legal", "")
    yield _registers(issuer)
    taxed = (
        (texts["tax_regime"], issuer.get("tax_regime", "")),
        (texts["tax_office"], issuer.get("tax_office", "")),
    )
    yield " · ".join(f"{label}{texts['colon']} {value}" for label, value in taxed if value)
    phone = f"{texts['phone']} {issuer['phone']}" if issuer.get("phone") else ""
    yield " · ".join(filter(None, [phone, issuer["email"]]))


def _head(sheet: _Sheet) -> None:
    paper, texts = sheet.paper, sheet.texts
    top = sheet.get_y()
    sheet.style(15, _ACCENT, bold=True)
    sheet.write_at(_MARGIN, 100, paper.issuer["name"], 7)
    sheet.ln(1)
    sheet.style(8, _GREY)
    for line in filter(None, _issuer_lines(sheet)):
        sheet.write_at(_MARGIN, 100, line, 4.1)
    bottom = sheet.get_y()
    sheet.set_y(top)
    right, width = 210 - _MARGIN - 70, 70.0
    sheet.style(21, _INK, bold=True)
    sheet.write_at(right, width, texts[paper.kind].upper(), 9, "R")
    sheet.style(10.5, _ACCENT, bold=True)
    sheet.write_at(right, width, f"{texts['number']} {paper.number}", 5.6, "R")
    sheet.style(8.5, _GREY)
    sheet.write_at(right, width, f"{texts['date']}{texts['colon']} {day_text(paper.issued_at, sheet.language)}", 5, "R")
    sheet.set_y(max(bottom, sheet.get_y()) + 5)
    sheet.set_draw_color(*_ACCENT)
    sheet.set_line_width(0.7)
    sheet.line(_MARGIN, sheet.get_y(), 210 - _MARGIN, sheet.get_y())
    sheet.ln(6)


def _caption(sheet: _Sheet, x: float, text: str) -> None:
    sheet.style(7.5, _ACCENT, bold=True)
    sheet.write_at(x, _HALF, text.upper(), 5)
    sheet.ln(0.5)


def _parties(sheet: _Sheet) -> None:
    texts, customer = sheet.texts, sheet.paper.customer
    top = sheet.get_y()
    _caption(sheet, _MARGIN, texts["to"])
    sheet.style(10.5, bold=True)
    sheet.write_at(_MARGIN, _HALF, customer.name, 5.4)
    sheet.style(8.5)
    registers = _registers({"rccm": customer.rccm or "", "niu": customer.niu or ""})
    for line in (customer.address, registers, customer.email, customer.phone):
        if line:
            sheet.write_at(_MARGIN, _HALF, line)
    bottom = sheet.get_y()
    sheet.set_y(top)
    x = 210 - _MARGIN - _HALF
    _caption(sheet, x, texts["references"])
    for label, value in _references(sheet):
        sheet.pair(x, _HALF, label, value)
    sheet.set_y(max(bottom, sheet.get_y()) + 7)


def _references(sheet: _Sheet) -> Iterable[tuple[str, str]]:
    paper, texts, language = sheet.paper, sheet.texts, sheet.language
    if paper.corrected is not None:
        day = day_text(paper.corrected.issued_at, language)
        yield texts["corrects"], f"{texts['invoice']} {paper.corrected.number} {texts['of']} {day}"
        if paper.corrected.reason:
            yield texts["reason"], paper.corrected.reason
    yield texts["order"], paper.order_number
    if paper.period is not None:
        begin, end = (day_text(at, language) for at in (paper.period.starts_at, paper.period.ends_at))
        yield texts["period"], f"{begin} {texts['until']} {end}"
    if paper.kind is PaperKind.INVOICE:
        yield texts["terms"], texts["terms_text"]


def _row(sheet: _Sheet, cells: tuple[str, str, str, str]) -> None:
    if sheet.will_page_break(4.6 * sheet.count_lines(_COLUMNS[0] - 4, cells[0]) + 3.2):
        sheet.add_page()
    top = sheet.get_y() + 1.6
    sheet.set_y(top)
    sheet.write_at(_MARGIN + 2, _COLUMNS[0] - 4, cells[0])
    bottom = sheet.get_y() + 1.6
    x = _MARGIN + _COLUMNS[0]
    for width, text in zip(_COLUMNS[1:], cells[1:], strict=True):
        sheet.set_xy(x, top)
        sheet.cell(width - 2, 4.6, text, align="R")
        x += width
    sheet.set_y(bottom)


def _lines(sheet: _Sheet) -> None:
    texts, paper = sheet.texts, sheet.paper
    mark = texts["taxed_mark" if paper.amounts.taxes else "untaxed_mark"]
    sheet.set_fill_color(*_ACCENT)
    sheet.rect(_MARGIN, sheet.get_y(), _WIDTH, 7.8, style="F")
    sheet.style(8.5, (255, 255, 255), bold=True)
    _row(sheet, (texts["label"], texts["quantity"], texts["unit"] + mark, texts["amount"] + mark))
    sheet.style(9)
    for line in paper.lines:
        if line.kind == "tax":
            continue
        label = line.label if sheet.language == "fr" else line.label_en
        _row(
            sheet,
            (
                label,
                str(line.quantity),
                amount_text(line.unit, sheet.language),
                amount_text(line.total, sheet.language),
            ),
        )
        sheet.set_draw_color(*_RULE)
        sheet.set_line_width(0.2)
        sheet.line(_MARGIN, sheet.get_y(), 210 - _MARGIN, sheet.get_y())
    sheet.ln(5)


def _sums(sheet: _Sheet, amounts: Amounts) -> Iterable[tuple[str, Money]]:
    texts = sheet.texts
    if amounts.discount or amounts.credit:
        yield texts["gross"], amounts.subtotal
    if amounts.discount:
        yield texts["discount"], -amounts.discount
    if amounts.credit:
        yield texts["credit"], -amounts.credit
    if amounts.taxes:
        yield texts["net"], amounts.net
    for tax in amounts.taxes:
        yield (tax.rate.label if sheet.language == "fr" else tax.rate.label_en), tax.amount


def _totals(sheet: _Sheet) -> None:
    texts, paper = sheet.texts, sheet.paper
    x, width = 210 - _MARGIN - _HALF, _HALF
    for label, money in _sums(sheet, paper.amounts):
        top = sheet.get_y()
        sheet.style(8.5)
        sheet.set_xy(x + width - 36, top)
        sheet.cell(34, 5.6, amount_text(money, sheet.language), align="R")
        sheet.style(8.5, _GREY)
        sheet.set_xy(x, top + 0.5)
        sheet.write_at(x + 2, width - 40, label)
        sheet.set_y(max(sheet.get_y(), top + 5.6))
    sheet.ln(1.5)
    key = "total_credit" if paper.kind is PaperKind.CREDIT_NOTE else "total" if paper.amounts.taxes else "total_untaxed"
    sheet.set_fill_color(*_ACCENT)
    top = sheet.get_y()
    sheet.rect(x, top, width, 9.5, style="F")
    sheet.style(10.5, (255, 255, 255), bold=True)
    sheet.set_xy(x + 2, top)
    sheet.cell(width - 44, 9.5, texts[key])
    sheet.set_xy(x + width - 44, top)
    sheet.cell(42, 9.5, amount_text(paper.amounts.total, sheet.language), align="R")
    sheet.set_y(top + 9.5)


def _state(sheet: _Sheet) -> None:
    """Say beside the totals that it is paid, when and how."""
    texts, paper = sheet.texts, sheet.paper
    if paper.kind is PaperKind.CREDIT_NOTE:
        return
    sheet.style(12, _GREEN, bold=True)
    sheet.set_draw_color(*_GREEN)
    sheet.set_line_width(0.5)
    word = texts["paid"].upper() if paper.amounts.total else texts["nothing_due"]
    width = sheet.get_string_width(word) + 10
    sheet.rect(_MARGIN, sheet.get_y(), width, 9, round_corners=True, corner_radius=1.6)
    sheet.cell(width, 9, word, align="C")
    sheet.ln(11)
    if paper.settlement is not None:
        sheet.style(8.5, _GREY)
        for line in _settled(sheet, paper.settlement):
            sheet.write_at(_MARGIN, _HALF, line)


def _settled(sheet: _Sheet, settlement: Settlement) -> Iterable[str]:
    texts = sheet.texts
    day = texts["paid_on"].format(day=day_text(settlement.paid_at, sheet.language))
    yield f"{day} {texts['by'].format(method=texts.get(settlement.method, settlement.method))}"
    yield texts["reference"].format(reference=settlement.reference)


def _in_words(sheet: _Sheet) -> None:
    texts, paper = sheet.texts, sheet.paper
    words = amount_in_words(paper.amounts.total, sheet.language)
    taxed = f", {texts['taxed_words']}" if paper.amounts.taxes else ""
    text = f"{texts[f'{paper.kind}_words']}{texts['colon']} {words}{taxed}{texts['full_stop']}"
    sheet.style(9, bold=True)
    height = 4.8 * sheet.count_lines(_WIDTH - 8, text) + 5
    if sheet.will_page_break(height):
        sheet.add_page()
    sheet.set_fill_color(*_PALE)
    sheet.rect(_MARGIN, sheet.get_y(), _WIDTH, height, style="F")
    sheet.set_y(sheet.get_y() + 2.5)
    sheet.write_at(_MARGIN + 4, _WIDTH - 8, text, 4.8)
    sheet.ln(6)


def _tax_note(paper: Paper) -> str | None:
    """Return which sentence about VAT holds for the rates that the document has."""
    if not paper.amounts.taxes:
        return "untaxed"
    return "taxed" if tuple(line.rate for line in paper.amounts.taxes) == VAT_CAMEROON else None


def paper_pdf(paper: Paper) -> bytes:
    """Return a document as PDF, in its own language; the same document always gives the same bytes."""
    sheet = _Sheet(paper)
    _head(sheet)
    _parties(sheet)
    _lines(sheet)
    if sheet.will_page_break(_SUMS_HEIGHT):
        sheet.add_page()
    top = sheet.get_y()
    _state(sheet)
    bottom = sheet.get_y()
    sheet.set_y(top)
    _totals(sheet)
    sheet.set_y(max(bottom, sheet.get_y()) + 7)
    _in_words(sheet)
    if note := _tax_note(paper):
        sheet.style(7.5, _GREY)
        sheet.write_at(_MARGIN, _WIDTH, sheet.texts[note], 4)
    output: Any = sheet.output()
    return bytes(output)


def credit_note_pdf(note: CreditNote, invoice: Invoice) -> bytes:
    """Return a credit note as PDF, beside the invoice that it corrects; always the same bytes."""
    return paper_pdf(paper_of_note(note, invoice))


def invoice_pdf(invoice: Invoice) -> bytes:
    """Return an invoice as PDF, in its own language; the same invoice always gives the same bytes."""
    return paper_pdf(paper_of(invoice))
