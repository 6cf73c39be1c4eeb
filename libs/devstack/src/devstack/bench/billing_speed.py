"""How fast billing is where others set the pace: PayPal's webhooks, and invoices to draw.

A webhook is accepted once its signature is checked and its row is durable; each is another event. The peer is the same
application asked for what it has not. An invoice is the sample of docs/invoice.pdf; the peer is the same library
writing one line in the same fonts.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from uuid import UUID

import httpx
from billing.adapters.invoice_pdf import FONTS, invoice_pdf
from billing.domain.invoice import Invoice, InvoiceLine, Issuer, number_of
from billing.domain.money import Money
from billing.domain.order import Customer
from billing.domain.period import Period
from billing.domain.pricing import VAT_CAMEROON, amounts
from billing.testing import Billing, settings_for
from common.testing import service_database
from common.testing.databases import ServiceDatabase
from fpdf import FPDF
from simulators.paypal import PayPalConfig, RunningPayPal
from simulators.paypal import start as start_paypal

from devstack.bench.apart import folder as own_folder
from devstack.bench.figures import INVOICE_PDFS, WEBHOOKS
from devstack.bench.measuring import Say, Sizes, interleaved, median_ratio, percentile
from devstack.bench.report import Bar
from devstack.members import BILLING
from devstack.servers.postgres import EmbeddedPostgres

AT_ONCE = 16
NOBODY = UUID(int=0)
ISSUED = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PER_DRAWING = 20
"""Requests at the size of the design, for each invoice that is drawn."""


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Send webhooks, draw invoices."""
    with (
        own_folder() as folder,
        EmbeddedPostgres(folder / "postgres", throw_away=True) as server,
        contextmanager(service_database)(
            server.url, BILLING.prefix, BILLING.package_folder, BILLING.system_roles
        ) as database,
    ):
        webhooks = asyncio.run(webhooks_accepted(database, folder, sizes, say))
    return [webhooks, invoices_drawn(sizes, say)]


async def webhooks_accepted(database: ServiceDatabase, folder: Path, sizes: Sizes, say: Say) -> Bar:
    """Send signed events, 16 at a time, and as many requests for nothing."""
    paypal = await start_paypal(PayPalConfig(webhook_id="SIMWEBHOOK0001"))
    ca_file = folder / "ca.pem"
    ca_file.write_text(paypal.ca_pem)
    async with httpx.AsyncClient(trust_env=False) as http:
        settings = settings_for(
            database,
            folder / "receipts",
            paypal_base_url=paypal.url,
            paypal_webhook_check="offline",
            paypal_webhook_ca_file=ca_file,
        )
        billing = Billing(database, settings, http)
        try:
            return await _sent(billing, paypal, sizes, say)
        finally:
            await billing.close()
            await paypal.stop()


async def _sent(billing: Billing, paypal: RunningPayPal, sizes: Sizes, say: Say) -> Bar:
    front, number, taken = billing.client(anonymous=True), 0, []
    each = max(AT_ONCE, sizes.requests // sizes.pairs // 2)

    def event() -> tuple[bytes, dict[str, str]]:
        nonlocal number
        number += 1
        resource = {"id": f"CAPTURE{number}", "custom_id": str(UUID(int=number))}
        body = json.dumps(
            {"id": f"WH-{number}", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": resource}
        ).encode()
        return body, paypal.paypal.webhooks.headers(body, f"transmission-{number}")

    async def webhooks() -> float:
        events = [event() for _ in range(each)]
        turns = iter(events)

        async def one() -> None:
            for body, headers in turns:
                began = time.perf_counter()
                answer = await front.post("/webhooks/paypal/", content=body, headers=headers)
                taken.append(time.perf_counter() - began)
                assert answer.json() == {"status": "stored"}, answer.text

        return await _rate(one, each)

    async def nothing() -> float:
        turns = iter(range(each))

        async def one() -> None:
            for _ in turns:
                assert (await front.get("/nothing/here/")).status_code == 404

        return await _rate(one, each)

    say(f"{each} webhooks at a time, {AT_ONCE} at once")
    await webhooks()
    taken.clear()
    pairs = await interleaved(webhooks, nothing, sizes.pairs)
    rate, peer = median(left for left, _ in pairs), median(right for _, right in pairs)
    return replace(
        WEBHOOKS,
        value=median_ratio(pairs),
        peer="the same application, asked for what it has not",
        note=f"{rate:.0f} webhooks a second against {peer:.0f}, p99 {percentile(taken, 0.99) * 1000:.0f} ms",
    )


async def _rate(one: Callable[[], Awaitable[None]], count: int) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - began)


def invoices_drawn(sizes: Sizes, say: Say) -> Bar:
    """Draw invoices, and as many sheets with one line."""
    each = max(2, sizes.requests // PER_DRAWING // sizes.pairs)
    say(f"{each} invoices at a time")
    invoice = _invoice()

    def drawn(draw: Callable[[], bytes]) -> float:
        began = time.perf_counter()
        for _ in range(each):
            assert draw().startswith(b"%PDF")
        return each / (time.perf_counter() - began)

    pairs = [(drawn(lambda: invoice_pdf(invoice)), drawn(_one_line)) for _ in range(sizes.pairs)]
    rate, peer = median(left for left, _ in pairs), median(right for _, right in pairs)
    return replace(
        INVOICE_PDFS,
        value=median_ratio(pairs),
        peer="one line in the same fonts by the same library",
        limiting_stage="embedding fonts",
        note=f"{rate:.1f} invoices a second on one core against {peer:.1f} sheets",
    )


def _one_line() -> bytes:
    sheet = FPDF(format="A4")
    for style, file in (("", "DejaVuSansCondensed.ttf"), ("B", "DejaVuSansCondensed-Bold.ttf")):
        sheet.add_font("paper", style, FONTS / file)
    sheet.add_page()
    for style in ("", "B"):
        sheet.set_font("paper", style, 9)
        sheet.cell(text="Facture EBM-2026-000042")
    return bytes(sheet.output())


def _invoice() -> Invoice:
    price, discount = Money(1_000_000, "XAF"), Money(100_000, "XAF")
    issuer = Issuer("EBM", "ESXi Backup Manager SAS", "BP 1234 Douala", "a@b.example", "RC", "NIU", VAT_CAMEROON)
    line = InvoiceLine("item", "Abonnement Gold, 1 an", "Subscription Gold, 1 year", 1, price, price)
    less = InvoiceLine("discount", "Remise BIENVENUE10", "Discount BIENVENUE10", 1, -discount, -discount)
    return Invoice(
        tenant_id=NOBODY,
        id=NOBODY,
        order_id=NOBODY,
        order_number="ORD-20261122-7KQ2MX9RBD",
        issuer=issuer.document(),
        year=2026,
        sequence=42,
        number=number_of("EBM", 2026, 42),
        issued_at=ISSUED,
        customer=Customer("Entreprise XYZ", "contact@xyz.com"),
        language="fr",
        amounts=amounts(price, discount, VAT_CAMEROON),
        lines=(line, less),
        period=Period(ISSUED, ISSUED.replace(year=2027), 22),
        settlement=None,
    )
