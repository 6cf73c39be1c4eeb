"""Invoices: gapless under contention, immutable, readable by their organization only, and the PDF of the same data."""

import asyncio
import hashlib
import io
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import ORDERS, Billing, by_momo, place, until_paid
from common.ids import uuid7
from pypdf import PdfReader
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

pytestmark = pytest.mark.integration
INVOICES = "/api/tenants/invoices/"


async def bought(billing: Billing, **changes: Any) -> tuple[dict[str, Any], UUID]:
    buyer = billing.client()
    order = await place(buyer, **changes)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    return order, await billing.provision(order)


async def test_a_paid_order_has_an_invoice_that_its_organization_reads(billing: Billing) -> None:
    order, tenant_id = await bought(billing)
    member = billing.client(tenant_id=tenant_id, roles=["viewer"])
    listed = (await member.get(INVOICES)).json()["results"]
    assert [found["order_id"] for found in listed] == [order["id"]]
    one = (await member.get(f"{INVOICES}{listed[0]['id']}/")).json()
    assert (one["total_amount"], one["tax_amount"], one["currency"]) == ("50000", "0", "XAF")
    assert one["invoice_number"].startswith("EBM-")
    assert one["lines"][0]["description"] == "ESXi Backup Manager subscription Silver, 1 month"
    assert one["organization_id"] == str(tenant_id)


@pytest.mark.invariant("S36")
async def test_the_download_is_a_pdf_of_the_stored_data_and_the_same_every_time(billing: Billing) -> None:
    _order, tenant_id = await bought(billing)
    member = billing.client(tenant_id=tenant_id)
    invoice = (await member.get(INVOICES)).json()["results"][0]
    first, second = [await member.get(f"{INVOICES}{invoice['id']}/download/") for _ in range(2)]
    assert first.headers["content-type"] == "application/pdf"
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'
    shown = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(first.content)).pages)
    assert invoice["invoice_number"] in shown
    assert "50,000 XAF" in shown.replace("\u00a0", " ")
    assert "Entreprise XYZ" in shown


@pytest.mark.invariant("S36")
async def test_the_customers_particulars_and_the_payment_are_kept_and_printed(billing: Billing) -> None:
    particulars = {
        "customer_address": "Rue 1.839, Bastos, Yaoundé",
        "customer_rccm": "CM-YAO-01-2019-B12-00456",
        "customer_niu": "M021912004567B",
    }
    order, tenant_id = await bought(billing, **particulars)
    assert {name: order[name] for name in particulars} == particulars
    member = billing.client(tenant_id=tenant_id)
    invoice = (await member.get(INVOICES)).json()["results"][0]
    assert {name: invoice[name] for name in particulars} == particulars
    pdf = (await member.get(f"{INVOICES}{invoice['id']}/download/")).content
    shown = " ".join(PdfReader(io.BytesIO(pdf)).pages[0].extract_text().split())
    for expected in (*particulars.values(), f"{order['order_number']}-1", "by MTN Mobile Money"):
        assert expected in shown


@pytest.mark.invariant("S9")
async def test_a_foreign_invoice_answers_as_a_missing_one_does(billing: Billing) -> None:
    _order, tenant_id = await bought(billing)
    invoice = (await billing.client(tenant_id=tenant_id).get(INVOICES)).json()["results"][0]
    _other, other_tenant = await bought(billing, customer_name="Autre")
    missing = str(uuid4())
    for stranger in (billing.client(tenant_id=other_tenant), billing.client()):
        for suffix in ("/", "/download/"):
            foreign = await stranger.get(f"{INVOICES}{invoice['id']}{suffix}")
            unknown = await stranger.get(f"{INVOICES}{missing}{suffix}")
            assert foreign.status_code == unknown.status_code == 404
            drop = {"request_id", "instance"}
            assert {k: v for k, v in foreign.json().items() if k not in drop} == {
                k: v for k, v in unknown.json().items() if k not in drop
            }


async def test_without_an_organization_the_list_is_empty(billing: Billing) -> None:
    assert (await billing.client().get(INVOICES)).json() == {"results": [], "next": None}


class TestNumbering:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"issuer_code": f"T{uuid4().hex[:8].upper()}"}

    @pytest.mark.invariant("S33")
    async def test_numbers_have_no_gap_and_no_repeat_whatever_is_rolled_back(self, billing: Billing) -> None:
        issuer = billing.settings.issuer_code

        class Refused(Exception):
            pass

        async def number(index: int) -> int:
            async with billing.store.for_tenant(uuid7()) as uow:
                taken = await uow.invoices.next_sequence(issuer, 2026)
                await asyncio.sleep(0)
                if index % 3 == 0:
                    raise Refused
            return taken

        results = await asyncio.gather(*(number(index) for index in range(60)), return_exceptions=True)
        taken = [result for result in results if isinstance(result, int)]
        assert sum(isinstance(result, Refused) for result in results) == 20
        assert sorted(taken) == list(range(1, 41))

    @pytest.mark.invariant("S33")
    async def test_purchases_at_once_are_numbered_from_one_without_gap(self, billing: Billing) -> None:
        async def buy() -> None:
            buyer = billing.client()
            order = await place(buyer)
            await by_momo(buyer, order)
            await until_paid(buyer, order)

        await asyncio.gather(*(buy() for _ in range(50)))
        rows = await billing.rows(
            "select sequence, number from invoices where issuer_code = $1 order by sequence",
            i=billing.settings.issuer_code,
        )
        assert [row["sequence"] for row in rows] == list(range(1, 51))
        assert rows[0]["number"] == f"{billing.settings.issuer_code}-{billing.clock.now().year}-000001"


@pytest.mark.invariant("S34")
@pytest.mark.parametrize("table", ["invoices", "invoice_lines", "ledger_entries", "ledger_postings"])
async def test_what_is_booked_never_changes_not_even_by_its_owner(billing: Billing, table: str) -> None:
    _order, tenant_id = await bought(billing)
    for statement in (f"update {table} set tenant_id = tenant_id", f"delete from {table}"):
        async with billing.superuser() as connection:
            with pytest.raises(Exception, match="never change"):
                await connection.execute(f"{statement} where tenant_id = $1", tenant_id)
        with pytest.raises(DBAPIError, match="permission denied"):
            async with billing.store.for_tenant(tenant_id) as uow:
                await uow.session.execute(text(statement))


class TestWithVat:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"issuer_vat_registered": True, "issuer_rccm": "RC/DLA/2026/B/1", "issuer_niu": "M012612345678A"}

    @pytest.mark.invariant("S35")
    @pytest.mark.invariant("S36")
    async def test_the_invoice_shows_tax_and_surcharge_apart(self, billing: Billing) -> None:
        order, tenant_id = await bought(billing, plan_id=1)
        assert order["total_amount"] == "29813"
        member = billing.client(tenant_id=tenant_id, language="fr")
        invoice = (await member.get(INVOICES)).json()["results"][0]
        taxes = [(line["description"], line["total"]) for line in invoice["lines"] if line["kind"] == "tax"]
        assert taxes == [("TVA 17,5 %", "4375"), ("Centimes additionnels communaux (10 % de la TVA)", "438")]
        pdf = (await member.get(f"{INVOICES}{invoice['id']}/download/")).content
        shown = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
        for expected in ("RC/DLA/2026/B/1", "M012612345678A", "4,375\u00a0XAF", "438\u00a0XAF", "29,813\u00a0XAF"):
            assert expected in shown
        assert (await member.get(f"{ORDERS}{order['id']}/")).json()["tax_amount"] == "4813"
