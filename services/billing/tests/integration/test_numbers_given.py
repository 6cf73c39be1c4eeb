"""A database that is restored to an older state gives no number again that has left us, and what left is kept."""

import asyncio
import logging
import random
import string
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from billing.adapters.invoice_pdf import credit_note_pdf
from billing.testing import Billing, pay_by_transfer, place
from billing.workflows.attaching import Attaching
from billing.workflows.keeping import Keeping

pytestmark = pytest.mark.integration


@pytest.fixture
def billing_settings() -> dict[str, Any]:
    """An issuer of the test's own: its numbers begin with 1."""
    return {"issuer_code": "".join(random.choices(string.ascii_uppercase, k=10))}


async def sold(billing: Billing) -> dict[str, Any]:
    """The invoice of an order that was paid."""
    buyer = billing.client()
    order = await place(buyer)
    await pay_by_transfer(billing, buyer, order)
    rows = await billing.rows("select * from invoices where order_id = $1", id=UUID(order["id"]))
    return dict(rows[0])


async def sent(billing: Billing, invoice: dict[str, Any]) -> bytes:
    """What the worker's mail brings the customer."""
    attaching = Attaching(billing.store, billing.tools.draw_invoice, credit_note_pdf, billing.tools.keeping)
    return (await attaching.document(invoice["tenant_id"], f"invoice:{invoice['id']}")).content


async def restore(billing: Billing, last: int, *, forgotten: list[dict[str, Any]]) -> None:
    """Make the database what it was when ``last`` was the newest number."""
    async with billing.superuser() as database:
        for table in ("invoice_lines", "invoices"):
            await database.execute(f"alter table {table} disable trigger user")
            column = "invoice_id" if table == "invoice_lines" else "id"
            await database.execute(f"delete from {table} where {column} = any($1)", [one["id"] for one in forgotten])
            await database.execute(f"alter table {table} enable trigger user")
        counter = "update invoice_counters set last_sequence = $2 where issuer = $1"
        await database.execute(counter, billing.settings.issuer_code, last)
        await database.execute("delete from invoice_counters where last_sequence = 0")


@pytest.mark.invariant("S33")
@pytest.mark.parametrize("last", [0, 1])
async def test_no_number_that_left_is_given_again_by_a_restored_database(
    billing: Billing, last: int, caplog: pytest.LogCaptureFixture
) -> None:
    invoices = [await sold(billing) for _ in range(3)]
    assert [one["sequence"] for one in invoices] == [1, 2, 3]
    papers = [await sent(billing, one) for one in invoices]
    await restore(billing, last, forgotten=invoices[last:])
    with caplog.at_level(logging.ERROR, "billing.workflows.keeping"):
        assert sum(await asyncio.gather(*(billing.tools.keeping.compare() for _ in range(50)))) == 1
    assert len(caplog.records) == 1
    assert (await sold(billing))["sequence"] == 4
    for invoice, paper in zip(invoices, papers, strict=True):
        kept = await billing.tools.documents.get(f"{invoice['tenant_id']}/issued/{invoice['number']}.pdf")
        assert kept == paper, "what was forgotten is found again"


async def test_without_the_comparison_a_number_would_be_given_twice(billing: Billing) -> None:
    """What the test above would not show, were a restored database harmless."""
    invoices = [await sold(billing) for _ in range(2)]
    await restore(billing, 1, forgotten=invoices[1:])
    assert (await sold(billing))["number"] == invoices[1]["number"]


async def test_a_counter_that_is_not_behind_stays(billing: Billing) -> None:
    invoices = [await sold(billing) for _ in range(2)]
    await sent(billing, invoices[0])
    assert await billing.tools.keeping.compare() == 0
    assert (await sold(billing))["sequence"] == 3


async def test_a_download_is_kept_before_it_leaves_and_below_its_tenant(billing: Billing) -> None:
    mine, other = await sold(billing), await sold(billing)
    member = billing.client(tenant_id=mine["tenant_id"], roles=["viewer"])
    for _ in range(2):
        answer = await member.get(f"/api/tenants/invoices/{mine['id']}/download/")
        assert answer.status_code == 200
    assert (await member.get(f"/api/tenants/invoices/{other['id']}/download/")).status_code == 404
    folder = billing.settings.receipts_folder
    assert [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.pdf"))] == [
        f"{mine['tenant_id']}/issued/{mine['number']}.pdf"
    ]
    assert await billing.tools.documents.highest_numbers() == [(billing.settings.issuer_code, mine["year"], 1)]


async def test_what_cannot_be_kept_does_not_leave(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = await sold(billing)

    async def full(name: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(billing.tools.documents, "put", full)
    with pytest.raises(OSError, match="No space"):
        await sent(billing, invoice)


async def test_two_that_keep_one_document_at_once_keep_it_whole(billing: Billing) -> None:
    invoice = await sold(billing)
    async with billing.store.for_tenant(invoice["tenant_id"]) as uow:
        document = await uow.invoices.find(invoice["id"])
    assert document is not None
    draw = partial(asyncio.to_thread, billing.tools.draw_invoice, document)
    keeping = Keeping(billing.store, billing.tools.documents)
    papers = set(await asyncio.gather(*(keeping.pdf(document, draw) for _ in range(20))))
    (paper,) = papers
    folder = billing.settings.receipts_folder
    assert [path.read_bytes() for path in folder.rglob("*.pdf")] == [paper]
    assert list(folder.rglob("*.partial")) == []


async def test_what_left_leaves_again_as_it_was(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = await sold(billing)
    paper = await sent(billing, invoice)
    name = f"{invoice['tenant_id']}/issued/{invoice['number']}.pdf"
    await billing.tools.documents.put(name, paper + b"% drawn by an older release")
    member = billing.client(tenant_id=invoice["tenant_id"], roles=["viewer"])
    answer = await member.get(f"/api/tenants/invoices/{invoice['id']}/download/")
    assert answer.content == paper + b"% drawn by an older release"
    assert await sent(billing, invoice) == answer.content


async def test_marks_below_the_highest_are_forgotten_and_it_is_not(billing: Billing) -> None:
    invoices = [await sold(billing) for _ in range(3)]
    for one in invoices:
        await sent(billing, one)
    assert [await billing.tools.keeping.compare() for _ in range(2)] == [0, 0]
    marks = [path.name for path in billing.settings.receipts_folder.glob("numbers/*/*/*")]
    assert marks == ["000000003"]
    await restore(billing, 1, forgotten=invoices[1:])
    assert await billing.tools.keeping.compare() == 1
    assert (await sold(billing))["sequence"] == 4
