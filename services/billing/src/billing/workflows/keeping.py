"""Keep what leaves us under a number in the object store, and let no number that left be given again.

A database that is restored to an older state knows nothing of the documents that were issued since: it would number
others with their numbers. Their marks are in another store, and are compared with the counters before a process
numbers anything, and once a minute while the worker runs (docs/adr/0012).
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from billing.domain.credit_note import CreditNote
from billing.domain.invoice import Invoice
from billing.persistence.unit_of_work import BillingStore
from billing.ports import DocumentStore

log = logging.getLogger(__name__)


def _series(document: Invoice | CreditNote) -> str:
    return document.series if isinstance(document, CreditNote) else str(document.issuer["code"])


def _name(tenant_id: UUID, number: str) -> str:
    return f"{tenant_id}/issued/{number}.pdf"


class Keeping:
    """What was issued, beside the database.

    Args:
        store: The three doors.
        documents: The object store.
    """

    def __init__(self, store: BillingStore, documents: DocumentStore) -> None:
        self._store = store
        self._documents = documents

    async def pdf(self, document: Invoice | CreditNote, draw: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return a document's PDF: as it has left us before, else drawn, its number marked as given, and kept.

        Raises:
            OSError: It could not be kept, and must not leave.
        """
        name = _name(document.tenant_id, document.number)
        with contextlib.suppress(FileNotFoundError):
            return await self._documents.get(name)
        content = await draw()
        mark = f"numbers/{_series(document)}/{document.year}/{document.sequence:09d}"
        await self._documents.put(mark, document.number.encode())
        await self._documents.put(name, content)
        return content

    async def compare(self) -> int:
        """Raise every counter that is below a number that was given, and forget lower marks; return how many were."""
        raised = 0
        for series, year, highest in await self._documents.highest_numbers():
            async with self._store.for_system("janitor") as uow:
                behind = await uow.invoices.not_below(series, year, highest)
            if behind:
                raised += 1
                log.error(
                    "invoice counter was behind the object store: the database is older than what was issued",
                    extra={"series": series, "year": year, "raised_to": highest},
                )
            await self._documents.forget_below(series, year, highest)
        return raised
