"""``/invoices/``: the active organization's; without one, an empty list."""

import asyncio
from functools import partial
from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from common.web import LanguageDep, Page, PagingDep
from fastapi import APIRouter, Query, Response

from billing.api.dependencies import ToolsDep
from billing.api.papers import paper
from billing.api.schemas.payments import InvoiceOut
from billing.domain.invoice import Invoice
from billing.errors import InvoiceNotFound

router = APIRouter(prefix="/api/tenants/invoices", tags=["invoices"])
Person = Annotated[Principal, requires_person()]


@router.get("/")
async def list_invoices(
    who: Person,
    tools: ToolsDep,
    language: LanguageDep,
    paging: PagingDep,
    order_id: Annotated[UUID | None, Query()] = None,
) -> Page[InvoiceOut]:
    if who.active_tenant_id is None:
        return Page(results=[])
    async with tools.store.for_tenant(who.active_tenant_id) as uow:
        invoices = await uow.invoices.page(paging.after, paging.rows, order_id=order_id)
    return paging.page(invoices, lambda invoice: InvoiceOut.of(invoice, language), lambda invoice: (invoice.id,))


async def _invoice(tools: ToolsDep, who: Principal, invoice_id: UUID) -> Invoice:
    if who.active_tenant_id is None:
        raise InvoiceNotFound
    async with tools.store.for_tenant(who.active_tenant_id) as uow:
        invoice = await uow.invoices.find(invoice_id)
    if invoice is None:
        raise InvoiceNotFound
    return invoice


@router.get("/{invoice_id}/")
async def get_invoice(invoice_id: UUID, who: Person, tools: ToolsDep, language: LanguageDep) -> InvoiceOut:
    return InvoiceOut.of(await _invoice(tools, who, invoice_id), language)


@router.get(
    "/{invoice_id}/download/",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The invoice as PDF"}},
)
async def download(invoice_id: UUID, who: Person, tools: ToolsDep) -> Response:
    invoice = await _invoice(tools, who, invoice_id)
    draw = partial(asyncio.to_thread, tools.draw_invoice, invoice)
    return paper(await tools.keeping.pdf(invoice, draw), invoice.number)
