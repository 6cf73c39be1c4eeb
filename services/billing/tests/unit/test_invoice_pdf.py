"""Invoices and credit notes on paper: what is stored is what is read, and always in the same bytes."""

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pypdfium2
import pytest
import time_machine
from billing.adapters.invoice_pdf import credit_note_pdf, invoice_pdf
from billing.domain.credit_note import CreditNote
from billing.domain.invoice import Invoice, InvoiceLine
from billing.domain.money import Money
from billing.domain.order import Customer
from billing.domain.pricing import VAT_CAMEROON, amounts
from billing.domain.wording import amount_text
from billing.domain.words import amount_in_words
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat
from pypdf import PdfReader

ROOT = Path(__file__).resolve().parents[4]
sys.path.insert(0, str(ROOT / "tools"))
from sample_invoice import DOCS, picture, sample  # noqa: E402

pytestmark = pytest.mark.unit


def read(pdf: bytes) -> str:
    """Return the text as a reader copies it, its lines joined."""
    pages = PdfReader(io.BytesIO(pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).replace("\u00a0", " ").split())


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.invariant("S36")
@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_stored_particular_is_read_on_the_paper(language: str) -> None:
    invoice = sample(language)
    shown = read(invoice_pdf(invoice))
    customer, issuer, money = invoice.customer, invoice.issuer, invoice.amounts
    facts = [invoice.number, invoice.order_number, *(value for key, value in issuer.items() if key != "code")]
    facts += [customer.name, customer.email, customer.phone, customer.address, customer.rccm, customer.niu]
    assert invoice.settlement is not None
    facts += [invoice.settlement.reference, "MTN Mobile Money"]
    facts += [line.label if language == "fr" else line.label_en for line in invoice.lines]
    facts += [
        plain(amount_text(amount, language)) for amount in (money.subtotal, -money.discount, money.net, money.total)
    ]
    facts += [plain(amount_text(line.amount, language)) for line in money.taxes]
    facts += [amount_in_words(money.total, language)]
    facts += (
        ["FACTURE", "22 novembre 2026", "22 novembre 2027", "ACQUITTÉE", "Total HT", "Total TTC", "TVA 17,5 %"]
        if language == "fr"
        else ["INVOICE", "November 22, 2026", "November 22, 2027", "PAID", "Total excl. tax", "VAT 17.5%"]
    )
    assert [fact for fact in facts if fact and fact not in shown] == []


@pytest.mark.invariant("S36")
@given(
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.sampled_from(["XAF", "EUR", "USD"]),
    st.sampled_from(["fr", "en"]),
    st.booleans(),
)
@settings(max_examples=6, deadline=None)
def test_any_amounts_are_read_as_they_are_stored(
    price: int, off: int, currency: str, language: str, taxed: bool
) -> None:
    stored = amounts(Money(price, currency), Money(off, currency), VAT_CAMEROON if taxed else ())
    shown = read(invoice_pdf(replace(sample(language), amounts=stored)))
    assert plain(amount_text(stored.total, language)) in shown
    assert plain(amount_text(stored.net, language)) in shown
    for line in stored.taxes:
        assert plain(amount_text(line.amount, language)) in shown
    assert ("19,25" in shown or "19.25" in shown) == taxed
    assert (" HT" in shown or "excl. tax" in shown) == taxed


@pytest.mark.invariant("S36")
def test_drawing_again_later_gives_the_same_bytes() -> None:
    first = invoice_pdf(sample())
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400), tick=False):
        assert invoice_pdf(sample()) == first
    assert invoice_pdf(replace(sample(), order_number="ORD-2")) != first


def test_names_are_written_as_they_are_spelt_and_no_markup_is_obeyed() -> None:
    name = "Ɓaŋ & Ngoué – Société «œuvre» Łódź Ελλάς <script> **gras** {nb}"
    shown = read(invoice_pdf(replace(sample(), customer=Customer(name, "a@b.cm"))))
    assert name.partition(" {nb}")[0] in shown


def test_particulars_that_are_missing_leave_no_empty_label() -> None:
    bare = dict.fromkeys(("code", "address", "email", "rccm", "niu"), "") | {"name": "EBM SAS"}
    invoice = replace(sample(), issuer=bare, customer=Customer("XYZ", "a@b.cm"), settlement=None)
    shown = read(invoice_pdf(invoice))
    for label in ("RCCM", "NIU", "Tél.", "Régime", "None"):
        assert label not in shown
    assert "ACQUITTÉE" in shown


def test_an_invoice_of_nothing_says_that_nothing_is_due() -> None:
    price = Money(25_000, "XAF")
    shown = read(invoice_pdf(replace(sample(), amounts=amounts(price, price, ()), settlement=None)))
    assert "Aucun montant à régler" in shown
    assert "zéro franc CFA" in shown
    assert "ACQUITTÉE" not in shown


@pytest.mark.parametrize(("language", "words"), [("fr", ("AVOIR", "Rectifie")), ("en", ("CREDIT NOTE", "Corrects"))])
def test_a_credit_note_names_the_invoice_that_it_corrects(language: str, words: tuple[str, ...]) -> None:
    invoice = sample(language)
    note = CreditNote(
        tenant_id=invoice.tenant_id, id=invoice.id, invoice_id=invoice.id, invoice_number=invoice.number,
        refund_id=invoice.id, issuer=invoice.issuer, series="EBM-AV", year=2026, sequence=3, number="EBM-AV-2026-000003",
        issued_at=invoice.issued_at, customer=invoice.customer, language=language, net=invoice.amounts.net,
        taxes=invoice.amounts.taxes, total=invoice.amounts.total, reason="Double paiement",
    )  # fmt: skip
    shown = read(credit_note_pdf(note, invoice))
    assert note.reason in shown
    assert plain(amount_text(note.total, language)) in shown
    for word in (*words, invoice.number, note.number):
        assert word in shown
    assert "ACQUITTÉE" not in shown
    assert "PAID" not in shown


def test_many_lines_go_on_over_pages_and_lose_none() -> None:
    price = Money(1000, "XAF")
    lines = tuple(InvoiceLine("item", f"Ligne {n:03}", f"Line {n:03}", 1, price, price) for n in range(90))
    pdf = invoice_pdf(replace(sample(), lines=lines))
    shown = read(pdf)
    assert all(f"Ligne {n:03}" in shown for n in range(90))
    pages = len(PdfReader(io.BytesIO(pdf)).pages)
    assert 3 <= pages <= 5
    assert f"Page {pages}/{pages}" in shown


def _difference(one: Image.Image, other: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean)


def test_nothing_is_drawn_outside_of_the_margins() -> None:
    long = Customer("Établissement " * 14, f"{'a' * 60}@{'b' * 180}.example", "9" * 40, "Rue " * 75, "R" * 60, "N" * 60)
    invoice: Invoice = replace(sample("en"), customer=long)
    page = pypdfium2.PdfDocument(invoice_pdf(invoice))[0].render(scale=1).to_pil().convert("L")
    margin = 40  # points: a little less than the sheet's own
    right = page.crop((page.width - margin, 0, page.width, page.height))
    assert right.getextrema() == (255, 255)


def test_the_sample_in_docs_is_what_billing_draws_now() -> None:
    """``make sample-invoice`` draws it again. Compression may differ between machines, what is drawn may not."""
    kept, drawn = (DOCS / "invoice.pdf").read_bytes(), invoice_pdf(sample())
    contents = [[page.get_contents().get_data() for page in PdfReader(io.BytesIO(pdf)).pages] for pdf in (kept, drawn)]
    assert contents[0] == contents[1]
    pictures = [Image.open(io.BytesIO(png)) for png in ((DOCS / "invoice.png").read_bytes(), picture(drawn))]
    assert pictures[0].size == pictures[1].size
    assert _difference(*pictures) < 0.5
