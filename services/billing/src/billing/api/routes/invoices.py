"""``/invoices/``: the active organization's; without one, an empty list."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from common.web import Cursor, Page
from fastapi import APIRouter, Response

from billing.api.dependencies import Here, Language, Paging
from billing.api.schemas.payments import InvoiceOut
from billing.domain.invoice import Invoice
from billing.errors import InvoiceNotFound
from billing.invoice_pdf import invoice_pdf

router = APIRouter(prefix="/api/tenants/invoices", tags=["invoices"])
Person = Annotated[Principal, requires_person()]


@router.get("/")
async def list_invoices(who: Person, here: Here, language: Language, paging: Paging) -> Page[InvoiceOut]:
    if who.active_tenant_id is None:
        return Page(results=[])
    after, limit = paging
    async with here.store.for_tenant(who.active_tenant_id) as uow:
        invoices = await uow.invoices.page(after, limit + 1)
    more = len(invoices) > limit
    return Page(
        results=[InvoiceOut.of(invoice, language) for invoice in invoices[:limit]],
        next=Cursor((str(invoices[limit - 1].id),)).encode() if more else None,
    )


async def _invoice(here: Here, who: Principal, invoice_id: UUID) -> Invoice:
    if who.active_tenant_id is None:
        raise InvoiceNotFound
    async with here.store.for_tenant(who.active_tenant_id) as uow:
        invoice = await uow.invoices.find(invoice_id)
    if invoice is None:
        raise InvoiceNotFound
    return invoice


@router.get("/{invoice_id}/")
async def get_invoice(invoice_id: UUID, who: Person, here: Here, language: Language) -> InvoiceOut:
    return InvoiceOut.of(await _invoice(here, who, invoice_id), language)


@router.get(
    "/{invoice_id}/download/",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The invoice as PDF"}},
)
async def download(invoice_id: UUID, who: Person, here: Here) -> Response:
    invoice = await _invoice(here, who, invoice_id)
    return Response(
        invoice_pdf(invoice),
        media_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{invoice.number}.pdf"'},
    )
