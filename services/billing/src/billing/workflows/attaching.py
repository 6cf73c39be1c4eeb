"""Make the documents that mails name, when they are sent: the row is kept, not the file drawn from it."""

import os
from collections.abc import Callable
from functools import partial
from uuid import UUID

from anyio import CapacityLimiter, to_process
from common.mail import Attachment

from billing.errors import InvoiceNotFound
from billing.persistence.unit_of_work import BillingStore
from billing.ports import DrawCreditNote, DrawInvoice
from billing.workflows.keeping import Keeping

NICENESS = 10
"""Nobody waits for a mail, but everybody in a rush waits for the processor (nice(2))."""


def gently(draw: Callable[[], bytes]) -> bytes:
    """Draw in this process, which from then on gives way to the others."""
    os.nice(max(0, NICENESS - os.nice(0)))
    return draw()


class Attaching:
    """Documents of billing's mails, drawn in a process of their own.

    Drawing takes tens of milliseconds of pure Python: in a thread it would hold up the payments of this worker.
    AnyIO keeps the process for the next document, and the process ends when the worker does, however that ends.

    Args:
        store: The three doors.
        draw_invoice: Draws an invoice.
        draw_credit_note: Draws a credit note.
        keeping: Keeps what leaves; what could not be kept is not sent.
    """

    def __init__(
        self, store: BillingStore, draw_invoice: DrawInvoice, draw_credit_note: DrawCreditNote, keeping: Keeping
    ) -> None:
        self._store = store
        self._draw_invoice = draw_invoice
        self._draw_credit_note = draw_credit_note
        self._keeping = keeping
        self._one = CapacityLimiter(1)

    async def document(self, tenant_id: UUID | None, reference: str) -> Attachment:
        """Return the document ``invoice:<id>`` or ``credit_note:<id>`` of a tenant.

        Raises:
            LookupError: Nothing here is named so.
            InvoiceNotFound: The tenant has no such document.
            OSError: It could not be kept; the mail is tried again.
        """
        kind, _, identifier = reference.partition(":")
        if kind not in {"invoice", "credit_note"} or tenant_id is None:
            raise LookupError(f"nothing here makes {reference}")
        async with self._store.for_tenant(tenant_id) as uow:
            note = await uow.credit_notes.find(UUID(identifier)) if kind == "credit_note" else None
            invoice = await uow.invoices.find(note.invoice_id if note else UUID(identifier))
        if invoice is None:
            raise InvoiceNotFound
        draw = partial(self._draw_credit_note, note, invoice) if note else partial(self._draw_invoice, invoice)
        drawn = partial(to_process.run_sync, gently, draw, cancellable=True, limiter=self._one)
        content = await self._keeping.pdf(note or invoice, drawn)
        return Attachment(f"{(note or invoice).number}.pdf", "application/pdf", content)
