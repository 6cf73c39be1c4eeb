"""Lines of our bank's statements; only staff's door reaches them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from common.clock import Clock
from common.ids import uuid7
from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.payment import PaymentStatus
from billing.domain.plan import Method
from billing.domain.statement import Awaited, Credit, LineStatus, Statement, fingerprints
from billing.persistence.paging import newest_first
from billing.persistence.tables import bank_statement_lines as lines
from billing.persistence.tables import bank_statements, payments


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """A stored line; ``awaited`` is the transfer that it is proposed, or approved, to be."""

    id: UUID
    credit: Credit
    status: LineStatus
    awaited: Awaited | None
    proposed_by: UUID | None
    decided_by: UUID | None
    decided_at: datetime | None
    note: str | None


def _line(row: Row[Any]) -> StatementLine:
    awaited = None
    if row.payment_id is not None:
        due = Money(row.due_minor, row.currency)
        awaited = Awaited(row.organization_id, row.payment_id, row.payment_reference, due)
    booked_on: date = row.booked_on
    return StatementLine(
        id=row.id,
        credit=Credit(booked_on, Money(row.amount_minor, row.currency), row.text, row.counterparty, row.bank_reference),
        status=LineStatus(row.status),
        awaited=awaited,
        proposed_by=row.proposed_by,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        note=row.note,
    )


class Statements:
    """Statements and their lines."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def add(self, statement: Statement, sha256: str, who: UUID) -> tuple[UUID | None, int]:
        """Keep a statement's lines, each once whatever files repeat it.

        Returns:
            The statement's id, ``None`` where this very file was imported before; how many lines are new.
        """
        statement_id = uuid7()
        added = await self._session.execute(
            insert(bank_statements)
            .values(id=statement_id, sha256=sha256, form=statement.form, imported_by=who, imported_at=self._clock.now())
            .on_conflict_do_nothing()
            .returning(bank_statements.c.id)
        )
        if added.one_or_none() is None:
            return None, 0
        if not statement.credits:
            return statement_id, 0
        rows = [
            {
                "id": uuid7(),
                "statement_id": statement_id,
                "fingerprint": fingerprint,
                "booked_on": credit.booked_on,
                "amount_minor": credit.amount.amount_minor,
                "currency": credit.amount.currency,
                "text": credit.text,
                "counterparty": credit.counterparty,
                "bank_reference": credit.bank_reference,
                "status": LineStatus.UNMATCHED,
            }
            for credit, fingerprint in zip(statement.credits, fingerprints(statement.credits), strict=True)
        ]
        new = 0
        for at in range(0, len(rows), 1000):  # a statement has at most 65 535 parameters
            taken = await self._session.execute(
                insert(lines).values(rows[at : at + 1000]).on_conflict_do_nothing().returning(lines.c.id)
            )
            new += len(taken.all())
        return statement_id, new

    async def unmatched(self) -> list[StatementLine]:
        """Return and hold the lines that belong to nobody yet, oldest first."""
        rows = await self._session.execute(
            select(lines).where(lines.c.status == LineStatus.UNMATCHED).order_by(lines.c.id).with_for_update()
        )
        return [_line(row) for row in rows]

    async def page(self, status: LineStatus, after: UUID | None, limit: int) -> list[StatementLine]:
        """Return lines in one state, newest first."""
        query = newest_first(lines, after, limit, {lines.c.status: status})
        return [_line(row) for row in await self._session.execute(query)]

    async def lock(self, line_id: UUID) -> StatementLine | None:
        """Return one line and hold it."""
        row = (await self._session.execute(select(lines).where(lines.c.id == line_id).with_for_update())).one_or_none()
        return _line(row) if row else None

    async def awaited(self, order_numbers: Iterable[str]) -> list[Awaited]:
        """Return the submitted transfers of these orders."""
        number = func.regexp_replace(payments.c.reference, "-[0-9]+$", "")
        return await self._awaited(number.in_(list(order_numbers)))

    async def awaited_payment(self, payment_id: UUID) -> Awaited | None:
        """Return a transfer, if it is submitted."""
        found = await self._awaited(payments.c.id == payment_id)
        return found[0] if found else None

    async def _awaited(self, condition: Any) -> list[Awaited]:
        rows = await self._session.execute(
            select(payments).where(
                payments.c.status == PaymentStatus.SUBMITTED, payments.c.method == Method.BANK_TRANSFER, condition
            )
        )
        return [
            Awaited(row.tenant_id, row.id, row.reference, Money(row.charged_minor, row.charged_currency))
            for row in rows
        ]

    async def propose(self, line: StatementLine, awaited: Awaited, who: UUID, note: str = "") -> bool:
        """Propose that a held line is a transfer; False where another line is proposed for it already."""
        try:
            async with self._session.begin_nested():
                await self._set(
                    line,
                    status=LineStatus.PROPOSED,
                    organization_id=awaited.organization_id,
                    payment_id=awaited.payment_id,
                    payment_reference=awaited.reference,
                    due_minor=awaited.due.amount_minor,
                    proposed_by=who,
                    note=note or None,
                )
        except IntegrityError:
            return False
        return True

    async def decide(self, line: StatementLine, status: LineStatus, who: UUID, note: str) -> None:
        """Write what a person decided about a held line."""
        values: dict[str, Any] = {"status": status, "decided_by": who, "decided_at": self._clock.now(), "note": note}
        if status is LineStatus.UNMATCHED:
            values |= dict.fromkeys(("organization_id", "payment_id", "payment_reference", "due_minor", "proposed_by"))
        await self._set(line, **values)

    async def _set(self, line: StatementLine, **values: Any) -> None:
        await self._session.execute(update(lines).where(lines.c.id == line.id).values(**values))
