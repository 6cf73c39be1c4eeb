"""Bank statements: what came of one, its lines, and what people say about them."""

from datetime import date, datetime
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field

from billing.domain.statement import fit_of
from billing.persistence.statements import StatementLine


class ImportedOut(Answer):
    lines: int
    new: int = Field(description="Lines that no former statement had")
    left_out: int = Field(description="Entries that are no booked credit")
    proposed: int
    unmatched: int = Field(description="Lines of all statements that wait for somebody to say whose they are")


class LineOut(Answer):
    id: UUID
    status: str
    booked_on: date
    amount: str
    currency: str
    text: str
    counterparty: str
    bank_reference: str
    organization_id: UUID | None
    payment_id: UUID | None
    payment_reference: str | None
    amount_due: str | None
    fit: str | None = Field(description="exact, partial or surplus")
    proposed_by: UUID | None
    decided_by: UUID | None
    decided_at: datetime | None
    note: str | None

    @classmethod
    def of(cls, line: StatementLine) -> "LineOut":
        credit, awaited = line.credit, line.awaited
        return cls(
            id=line.id,
            status=line.status,
            booked_on=credit.booked_on,
            amount=credit.amount.decimal(),
            currency=credit.amount.currency,
            text=credit.text,
            counterparty=credit.counterparty,
            bank_reference=credit.bank_reference,
            organization_id=awaited.organization_id if awaited else None,
            payment_id=awaited.payment_id if awaited else None,
            payment_reference=awaited.reference if awaited else None,
            amount_due=awaited.due.decimal() if awaited else None,
            fit=fit_of(credit.amount, awaited.due) if awaited else None,
            proposed_by=line.proposed_by,
            decided_by=line.decided_by,
            decided_at=line.decided_at,
            note=line.note,
        )


class NoteIn(Body):
    note: str = Field(min_length=3, max_length=1000, description="Why, for the audit log")


class ProposeIn(NoteIn):
    payment_id: UUID
