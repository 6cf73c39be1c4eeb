"""Make the documents that mails name, when they are sent: the row is kept, not the file drawn from it."""

import asyncio
from uuid import UUID

from common.mail import Attachment

from billing.errors import InvoiceNotFound
from billing.persistence.unit_of_work import BillingStore
from billing.ports import DrawInvoice


class Attaching:
    """Documents of billing's mails.

    Args:
        store: The three doors.
        draw_invoice: Draws an invoice.
    """

    def __init__(self, store: BillingStore, draw_invoice: DrawInvoice) -> None:
        self._store = store
        self._draw_invoice = draw_invoice

    async def document(self, tenant_id: UUID | None, reference: str) -> Attachment:
        """Return the document ``invoice:<id>`` of a tenant, drawn outside of the event loop.

        Raises:
            LookupError: Nothing here is named so.
            InvoiceNotFound: The tenant has no such invoice.
        """
        kind, _, identifier = reference.partition(":")
        if kind != "invoice" or tenant_id is None:
            raise LookupError(f"nothing here makes {reference}")
        async with self._store.for_tenant(tenant_id) as uow:
            invoice = await uow.invoices.find(UUID(identifier))
        if invoice is None:
            raise InvoiceNotFound
        content = await asyncio.to_thread(self._draw_invoice, invoice)
        return Attachment(f"{invoice.number}.pdf", "application/pdf", content)
