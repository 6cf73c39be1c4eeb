"""Make the documents that mails name, when they are sent: the row is kept, not the file drawn from it."""

import asyncio
from uuid import UUID

from common.mail import Attachment

from billing.errors import InvoiceNotFound
from billing.persistence.unit_of_work import BillingStore
from billing.ports import DrawCreditNote, DrawInvoice


class Attaching:
    """Documents of billing's mails.

    Args:
        store: The three doors.
        draw_invoice: Draws an invoice.
        draw_credit_note: Draws a credit note.
    """

    def __init__(self, store: BillingStore, draw_invoice: DrawInvoice, draw_credit_note: DrawCreditNote) -> None:
        self._store = store
        self._draw_invoice = draw_invoice
        self._draw_credit_note = draw_credit_note

    async def document(self, tenant_id: UUID | None, reference: str) -> Attachment:
        """Return the document ``invoice:<id>`` or ``credit_note:<id>`` of a tenant, drawn outside of the event loop.

        Raises:
            LookupError: Nothing here is named so.
            InvoiceNotFound: The tenant has no such document.
        """
        kind, _, identifier = reference.partition(":")
        if kind not in {"invoice", "credit_note"} or tenant_id is None:
            raise LookupError(f"nothing here makes {reference}")
        async with self._store.for_tenant(tenant_id) as uow:
            note = await uow.credit_notes.find(UUID(identifier)) if kind == "credit_note" else None
            invoice = await uow.invoices.find(note.invoice_id if note else UUID(identifier))
        if invoice is None:
            raise InvoiceNotFound
        if note is None:
            content = await asyncio.to_thread(self._draw_invoice, invoice)
        else:
            content = await asyncio.to_thread(self._draw_credit_note, note, invoice)
        return Attachment(f"{(note or invoice).number}.pdf", "application/pdf", content)
