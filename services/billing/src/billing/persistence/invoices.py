"""Invoices and the counter that numbers them without gaps.

The counter's row is locked last and until the commit, so a rolled-back invoice takes no number
(a sequence would: ``nextval`` is never rolled back).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.invoice import Invoice, InvoiceLine, Settlement
from billing.domain.money import Money
from billing.domain.period import Period
from billing.persistence.orders import amounts_of, customer_columns, customer_of, taxes_document
from billing.persistence.paging import newest_first
from billing.persistence.tables import invoice_counters, invoice_lines, invoices


def _line(row: Row[Any]) -> InvoiceLine:
    return InvoiceLine(
        row.kind,
        row.label,
        row.label_en,
        row.quantity,
        Money(row.unit_minor, row.currency),
        Money(row.total_minor, row.currency),
    )


def _invoice(row: Row[Any], lines: list[Row[Any]]) -> Invoice:
    return Invoice(
        tenant_id=row.tenant_id,
        id=row.id,
        order_id=row.order_id,
        order_number=row.order_number,
        issuer=row.issuer,
        year=row.year,
        sequence=row.sequence,
        number=row.number,
        issued_at=row.issued_at,
        customer=customer_of(row),
        language=row.language,
        amounts=amounts_of(row),
        lines=tuple(_line(line) for line in lines if line.invoice_id == row.id),
        period=Period(row.period_starts_at, row.period_ends_at, row.anchor_day),
        settlement=_settlement(row.settlement),
    )


def _settlement(document: dict[str, str] | None) -> Settlement | None:
    if document is None:
        return None
    return Settlement(document["method"], document["reference"], datetime.fromisoformat(document["paid_at"]))


def _settlement_document(settlement: Settlement | None) -> dict[str, str] | None:
    if settlement is None:
        return None
    return {
        "method": settlement.method,
        "reference": settlement.reference,
        "paid_at": settlement.paid_at.isoformat(),
    }


class Invoices:
    """Invoices of the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def next_sequence(self, issuer_code: str, year: int) -> int:
        """Take the next number; whoever else wants one waits until this transaction ends."""
        taken = await self._session.scalar(
            upsert(invoice_counters)
            .values(issuer=issuer_code, year=year, last_sequence=1)
            .on_conflict_do_update(
                index_elements=["issuer", "year"],
                set_={"last_sequence": invoice_counters.c.last_sequence + 1},
            )
            .returning(invoice_counters.c.last_sequence)
        )
        assert taken is not None
        return int(taken)

    async def not_below(self, series: str, year: int, given: int) -> bool:
        """Raise a counter to a number that was given; through the janitor's door. Returns whether it was below."""
        raised = await self._session.execute(
            upsert(invoice_counters)
            .values(issuer=series, year=year, last_sequence=given)
            .on_conflict_do_update(
                index_elements=["issuer", "year"],
                set_={"last_sequence": given},
                where=invoice_counters.c.last_sequence < given,
            )
            .returning(invoice_counters.c.last_sequence)
        )
        return raised.one_or_none() is not None

    async def add(self, invoice: Invoice) -> None:
        """Insert a numbered invoice and its lines; neither ever changes."""
        amounts = invoice.amounts
        await self._session.execute(
            insert(invoices).values(
                tenant_id=invoice.tenant_id,
                id=invoice.id,
                order_id=invoice.order_id,
                order_number=invoice.order_number,
                issuer_code=invoice.issuer["code"],
                issuer=invoice.issuer,
                year=invoice.year,
                sequence=invoice.sequence,
                number=invoice.number,
                **customer_columns(invoice.customer),
                language=invoice.language,
                currency=amounts.currency,
                subtotal_minor=amounts.subtotal.amount_minor,
                discount_minor=amounts.discount.amount_minor,
                credit_minor=amounts.credit.amount_minor,
                total_minor=amounts.total.amount_minor,
                taxes=taxes_document(amounts),
                period_starts_at=invoice.period.starts_at,
                period_ends_at=invoice.period.ends_at,
                anchor_day=invoice.period.anchor_day,
                settlement=_settlement_document(invoice.settlement),
                issued_at=invoice.issued_at,
            )
        )
        await self._session.execute(
            insert(invoice_lines),
            [
                {
                    "tenant_id": invoice.tenant_id,
                    "invoice_id": invoice.id,
                    "position": position,
                    "kind": line.kind,
                    "label": line.label,
                    "label_en": line.label_en,
                    "quantity": line.quantity,
                    "unit_minor": line.unit.amount_minor,
                    "total_minor": line.total.amount_minor,
                    "currency": line.total.currency,
                }
                for position, line in enumerate(invoice.lines, start=1)
            ],
        )

    async def _with_lines(self, rows: list[Row[Any]]) -> list[Invoice]:
        lines = await self._session.execute(
            select(invoice_lines)
            .where(invoice_lines.c.invoice_id.in_([row.id for row in rows]))
            .order_by(invoice_lines.c.invoice_id, invoice_lines.c.position)
        )
        found = list(lines.all())
        return [_invoice(row, found) for row in rows]

    async def find(self, invoice_id: UUID) -> Invoice | None:
        """Return an invoice with its lines."""
        rows = (await self._session.execute(select(invoices).where(invoices.c.id == invoice_id))).all()
        found = await self._with_lines(list(rows))
        return found[0] if found else None

    async def of_order(self, order_id: UUID) -> Invoice | None:
        """Return an order's invoice with its lines."""
        rows = (await self._session.execute(select(invoices).where(invoices.c.order_id == order_id))).all()
        found = await self._with_lines(list(rows))
        return found[0] if found else None

    async def page(
        self,
        after: UUID | None,
        limit: int,
        *,
        number: str | None = None,
        order_id: UUID | None = None,
        tenant_id: UUID | None = None,
    ) -> list[Invoice]:
        """Return the tenant's invoices, newest first, that are older than ``after``."""
        equal = {invoices.c.number: number, invoices.c.order_id: order_id, invoices.c.tenant_id: tenant_id}
        query = newest_first(invoices, after, limit, equal)
        return await self._with_lines(list((await self._session.execute(query)).all()))
