"""`make sample-invoice`: draw docs/invoice.pdf as billing draws its invoices, and docs/invoice.png as it looks.

The data are the guide's example customer; billing's `tests/unit/test_invoice_pdf.py` tells when the files are old.
"""

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pypdfium2
from billing.adapters.invoice_pdf import invoice_pdf
from billing.domain.invoice import Invoice, InvoiceLine, Issuer, Settlement, number_of
from billing.domain.money import Money
from billing.domain.order import Customer
from billing.domain.period import Period
from billing.domain.pricing import VAT_CAMEROON, amounts

DOCS = Path(__file__).resolve().parents[1] / "docs"
PIXELS_PER_POINT = 110 / 72
"""110 dots an inch: readable, and 100 KB."""

ISSUED = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
NOBODY = UUID(int=0)

ISSUER = Issuer(
    code="EBM",
    name="ESXi Backup Manager SAS",
    address="Avenue de Gaulle, Bonanjo, BP 1234 Douala, Cameroun",
    email="facturation@backup.example",
    rccm="CM-DLA-01-2026-B16-00123",
    niu="M012616001234A",
    tax_rates=VAT_CAMEROON,
    legal="SAS au capital de 10 000 000 XAF",
    phone="+237 233 00 00 00",
    tax_regime="Réel",
    tax_office="CIME Douala-Ouest",
)
CUSTOMER = Customer(
    "Entreprise XYZ",
    "contact@xyz.com",
    "+237 670 00 00 00",
    address="Rue 1.839, Bastos, BP 5678 Yaoundé, Cameroun",
    rccm="CM-YAO-01-2019-B12-00456",
    niu="M021912004567B",
)


def sample(language: str = "fr") -> Invoice:
    """Return gold for a year, with a discount and VAT."""
    price, discount = Money(1_000_000, "XAF"), Money(100_000, "XAF")
    return Invoice(
        tenant_id=NOBODY,
        id=NOBODY,
        order_id=NOBODY,
        order_number="ORD-20261122-7KQ2MX9RBD",
        issuer=ISSUER.document(),
        year=2026,
        sequence=42,
        number=number_of("EBM", 2026, 42),
        issued_at=ISSUED,
        customer=CUSTOMER,
        language=language,
        amounts=amounts(price, discount, VAT_CAMEROON),
        lines=(
            InvoiceLine(
                "item",
                "Abonnement ESXi Backup Manager Gold, 1 an",
                "ESXi Backup Manager subscription Gold, 1 year",
                1,
                price,
                price,
            ),
            InvoiceLine("discount", "Remise BIENVENUE10", "Discount BIENVENUE10", 1, -discount, -discount),
        ),
        period=Period(ISSUED, ISSUED.replace(year=2027), 22),
        settlement=Settlement("mtn_momo", "ORD-20261122-7KQ2MX9RBD-1", ISSUED),
    )


def picture(pdf: bytes) -> bytes:
    """Return the first page of a PDF as PNG."""
    document = pypdfium2.PdfDocument(pdf)
    image = document[0].render(scale=PIXELS_PER_POINT).to_pil()
    stream = io.BytesIO()
    image.quantize(64).save(stream, "PNG", optimize=True)
    document.close()
    return stream.getvalue()


def main() -> int:
    pdf = invoice_pdf(sample())
    (DOCS / "invoice.pdf").write_bytes(pdf)
    (DOCS / "invoice.png").write_bytes(picture(pdf))
    sys.stdout.write("wrote docs/invoice.pdf and docs/invoice.png\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
