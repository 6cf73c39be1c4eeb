"""Keep a bank statement's lines and propose, for each that nobody has claimed yet, the transfer that it quotes."""

from dataclasses import dataclass
from uuid import UUID

from billing.domain.statement import Statement, match, orders_named
from billing.persistence.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of a statement. ``new`` lines were in no statement before; ``unmatched`` counts all that wait."""

    lines: int
    new: int
    left_out: int
    proposed: int
    unmatched: int


async def import_statement(uow: UnitOfWork, statement: Statement, sha256: str, who: UUID, reason: str) -> Imported:
    """Store each line once and match what is unmatched, lines of former statements included.

    Args:
        uow: Open for staff.
        statement: What the file says.
        sha256: Of the file; the same file again adds nothing.
        who: Its importer, who is the maker of the proposals and approves none of them.
        reason: Why, for the audit log.
    """
    _, new = await uow.statements.add(statement, sha256, who)
    waiting = await uow.statements.unmatched()
    named = {number for line in waiting for number in orders_named(f"{line.credit.text} {line.credit.bank_reference}")}
    awaited = await uow.statements.awaited(named) if named else []
    proposed = 0
    for line in waiting:
        transfer = match(line.credit, awaited)
        if transfer is not None and await uow.statements.propose(line, transfer, who):
            proposed += 1
    await uow.audit(
        "bank_statement.imported",
        sha256,
        actor=who,
        reason=reason,
        details={"lines": len(statement.credits), "new": new, "proposed": proposed},
    )
    return Imported(
        lines=len(statement.credits),
        new=new,
        left_out=statement.left_out,
        proposed=proposed,
        unmatched=len(waiting) - proposed,
    )
