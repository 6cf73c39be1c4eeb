"""``/credit-notes/``: what of the active organization's invoices does not hold any more; without one, an empty list."""

import asyncio
from functools import partial
from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_person
from common.web import Page, PagingDep
from fastapi import APIRouter, Query, Response

from billing.api.dependencies import ToolsDep
from billing.api.papers import paper
from billing.api.schemas.refunds import CreditNoteOut
from billing.domain.credit_note import CreditNote
from billing.domain.invoice import Invoice
from billing.errors import CreditNoteNotFound

router = APIRouter(prefix="/api/tenants/credit-notes", tags=["invoices"])
Person = Annotated[Principal, requires_person()]


@router.get("/")
async def list_credit_notes(
    who: Person, tools: ToolsDep, paging: PagingDep, invoice_id: Annotated[UUID | None, Query()] = None
) -> Page[CreditNoteOut]:
    if who.active_tenant_id is None:
        return Page(results=[])
    async with tools.store.for_tenant(who.active_tenant_id) as uow:
        notes = await uow.credit_notes.page(paging.after, paging.rows, invoice_id=invoice_id)
    return paging.page(notes, CreditNoteOut.of, lambda note: (note.id,))


async def _note(tools: ToolsDep, who: Principal, note_id: UUID) -> tuple[CreditNote, Invoice]:
    if who.active_tenant_id is None:
        raise CreditNoteNotFound
    async with tools.store.for_tenant(who.active_tenant_id) as uow:
        note = await uow.credit_notes.find(note_id)
        invoice = await uow.invoices.find(note.invoice_id) if note else None
    if note is None or invoice is None:
        raise CreditNoteNotFound
    return note, invoice


@router.get("/{credit_note_id}/")
async def get_credit_note(credit_note_id: UUID, who: Person, tools: ToolsDep) -> CreditNoteOut:
    note, _invoice = await _note(tools, who, credit_note_id)
    return CreditNoteOut.of(note)


@router.get(
    "/{credit_note_id}/download/",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "The credit note as PDF"}},
)
async def download(credit_note_id: UUID, who: Person, tools: ToolsDep) -> Response:
    note, invoice = await _note(tools, who, credit_note_id)
    draw = partial(asyncio.to_thread, tools.draw_credit_note, note, invoice)
    return paper(await tools.keeping.pdf(note, draw), note.number)
