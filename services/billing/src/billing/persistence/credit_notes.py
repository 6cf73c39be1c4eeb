"""Credit notes: inserted once with their number, never changed."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.credit_note import CreditNote
from billing.domain.money import Money
from billing.domain.order import Customer
from billing.domain.pricing import TaxLine, TaxRate
from billing.persistence.paging import newest_first
from billing.persistence.tables import credit_notes


def _note(row: Row[Any]) -> CreditNote:
    return CreditNote(
        tenant_id=row.tenant_id,
        id=row.id,
        invoice_id=row.invoice_id,
        invoice_number=row.invoice_number,
        refund_id=row.refund_id,
        issuer=row.issuer,
        series=row.series,
        year=row.year,
        sequence=row.sequence,
        number=row.number,
        issued_at=row.issued_at,
        customer=Customer(row.customer_name, row.customer_email, row.customer_phone),
        language=row.language,
        net=Money(row.net_minor, row.currency),
        taxes=tuple(
            TaxLine(
                TaxRate(tax["label"], tax["label_en"], tax["thousandths"]), Money(tax["amount_minor"], row.currency)
            )
            for tax in row.taxes
        ),
        total=Money(row.total_minor, row.currency),
        reason=row.reason,
    )


class CreditNotes:
    """Credit notes that the transaction's door lets through; their numbers come from `Invoices.next_sequence`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, note: CreditNote) -> None:
        """Insert a numbered credit note."""
        await self._session.execute(
            insert(credit_notes).values(
                tenant_id=note.tenant_id,
                id=note.id,
                invoice_id=note.invoice_id,
                invoice_number=note.invoice_number,
                refund_id=note.refund_id,
                series=note.series,
                issuer=note.issuer,
                year=note.year,
                sequence=note.sequence,
                number=note.number,
                customer_name=note.customer.name,
                customer_email=note.customer.email,
                customer_phone=note.customer.phone,
                language=note.language,
                currency=note.total.currency,
                net_minor=note.net.amount_minor,
                total_minor=note.total.amount_minor,
                taxes=[
                    {
                        "label": line.rate.label,
                        "label_en": line.rate.label_en,
                        "thousandths": line.rate.thousandths,
                        "amount_minor": line.amount.amount_minor,
                    }
                    for line in note.taxes
                ],
                reason=note.reason,
                issued_at=note.issued_at,
            )
        )

    async def credited(self, invoice_id: UUID) -> int:
        """Return what an invoice's credit notes come to, in minor units."""
        found = await self._session.scalar(
            select(func.sum(credit_notes.c.total_minor)).where(credit_notes.c.invoice_id == invoice_id)
        )
        return int(found or 0)

    async def kept(self, invoice_id: UUID) -> int:
        """Return what of an invoice became the customer's credit, in minor units: notes that no refund is behind."""
        found = await self._session.scalar(
            select(func.sum(credit_notes.c.total_minor)).where(
                credit_notes.c.invoice_id == invoice_id, credit_notes.c.refund_id.is_(None)
            )
        )
        return int(found or 0)

    async def find(self, note_id: UUID) -> CreditNote | None:
        """Return a credit note."""
        row = (await self._session.execute(select(credit_notes).where(credit_notes.c.id == note_id))).one_or_none()
        return _note(row) if row else None

    async def page(
        self, after: UUID | None, limit: int, *, invoice_id: UUID | None = None, tenant_id: UUID | None = None
    ) -> list[CreditNote]:
        """Return visible credit notes, newest first, that are older than ``after``."""
        equal = {credit_notes.c.invoice_id: invoice_id, credit_notes.c.tenant_id: tenant_id}
        query = newest_first(credit_notes, after, limit, equal)
        return [_note(row) for row in await self._session.execute(query)]
