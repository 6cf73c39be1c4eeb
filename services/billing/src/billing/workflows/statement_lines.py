"""What people of finance decide about lines of a bank statement; an approval is also the transfer's, by another person.

A line is held while its transfer is approved in the tenant's own transaction, which commits first: the payment keeps
the line's id as its movement of money, of which there is one (a unique index). After a crash in between, approving the
line again finds that and only writes the line.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from billing.domain.invoice import Issuer
from billing.domain.payment import SeenAtBank
from billing.domain.statement import Awaited, LineStatus
from billing.errors import (
    MovementTaken,
    PaymentNotFound,
    SamePersonApproves,
    StatementLineDecided,
    StatementLineNotFound,
    TransferTaken,
)
from billing.persistence.statements import StatementLine
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.usecases.check_transfer import approve_transfer

NEAR_DAYS = 7
"""How far a movement's value date may be from the day on which the bank has booked it: a week-end and a holiday."""


@asynccontextmanager
async def _held(
    store: BillingStore, line_id: UUID, *allowed: LineStatus
) -> AsyncIterator[tuple[UnitOfWork, StatementLine]]:
    async with store.for_system("staff") as uow:
        line = await uow.statements.lock(line_id)
        if line is None:
            raise StatementLineNotFound
        if line.status not in allowed:
            raise StatementLineDecided(state=line.status.value)
        yield uow, line


async def approve_line(store: BillingStore, line_id: UUID, *, who: UUID, note: str, issuer: Issuer) -> None:
    """Take in the money of a proposed line for its transfer, whatever it was to bring: less, or more.

    Raises:
        StatementLineNotFound: No such line.
        StatementLineDecided: It is not proposed.
        SamePersonApproves: The checker proposed it, submitted the transfer, or is its buyer.
        PaymentNotSubmitted: The transfer was checked otherwise meanwhile.
        MovementTaken: A person has taken it in for another transfer, as its movement at the bank.
    """
    async with _held(store, line_id, LineStatus.PROPOSED) as (uow, line):
        assert line.awaited is not None
        if who == line.proposed_by:
            raise SamePersonApproves
        await _must_be_new(uow, line)
        await _approve(store, line, line.awaited, who=who, note=note, issuer=issuer)
        await uow.statements.decide(line, LineStatus.APPROVED, who, note)
        await uow.audit(
            "bank_statement.line_approved",
            str(line.id),
            actor=who,
            reason=note,
            tenant_id=line.awaited.organization_id,
            details={"payment_id": str(line.awaited.payment_id)},
        )


async def _must_be_new(uow: UnitOfWork, line: StatementLine) -> None:
    """Refuse a line whose movement was taken in by hand, under a value date near the day on which it was booked."""
    reference, booked_on = line.credit.bank_reference, line.credit.booked_on
    near = [booked_on + timedelta(days=days) for days in range(-NEAR_DAYS, NEAR_DAYS + 1)]
    if reference and await uow.payments.paid_by_movement(reference, near, by_hand_only=True):
        raise MovementTaken(bank_reference=reference)


def _movement(line: StatementLine) -> str:
    return f"statement-line-{line.id}"


async def _was_taken(store: BillingStore, line: StatementLine, awaited: Awaited) -> bool:
    """Say whether the transfer was paid by this line already: its approval was cut off before the line said so."""
    async with store.for_tenant(awaited.organization_id) as uow:
        payment = await uow.payments.find(awaited.payment_id)
        return payment is not None and payment.receipt_reference == _movement(line)


async def _approve(
    store: BillingStore, line: StatementLine, awaited: Awaited, *, who: UUID, note: str, issuer: Issuer
) -> None:
    if await _was_taken(store, line, awaited):
        return
    async with store.for_tenant(awaited.organization_id) as uow:
        await approve_transfer(
            uow,
            awaited.payment_id,
            staff_id=who,
            seen=SeenAtBank(line.credit.amount, line.credit.bank_reference or None, line.credit.booked_on),
            note=note,
            issuer=issuer,
            movement=_movement(line),
        )


async def propose_line(store: BillingStore, line_id: UUID, payment_id: UUID, *, who: UUID, note: str) -> None:
    """Say by hand which submitted transfer an unmatched line is.

    Raises:
        StatementLineNotFound: No such line.
        StatementLineDecided: It is not unmatched.
        PaymentNotFound: No such transfer waits, in the line's currency.
        TransferTaken: Another line is proposed for it.
    """
    async with _held(store, line_id, LineStatus.UNMATCHED) as (uow, line):
        awaited = await uow.statements.awaited_payment(payment_id)
        if awaited is None or awaited.due.currency != line.credit.amount.currency:
            raise PaymentNotFound
        if not await uow.statements.propose(line, awaited, who, note):
            raise TransferTaken
        await uow.audit(
            "bank_statement.line_proposed",
            str(line.id),
            actor=who,
            reason=note,
            tenant_id=awaited.organization_id,
            details={"payment_id": str(payment_id)},
        )


async def decide_line(store: BillingStore, line_id: UUID, wanted: LineStatus, *, who: UUID, note: str) -> None:
    """Release a proposal that is wrong (``unmatched``), or dismiss a line that is no customer's.

    Raises:
        StatementLineNotFound: No such line.
        StatementLineDecided: It is in no state that this follows.
    """
    allowed = {LineStatus.UNMATCHED: (LineStatus.PROPOSED, LineStatus.DISMISSED)}.get(wanted, (LineStatus.UNMATCHED,))
    async with _held(store, line_id, *allowed) as (uow, line):
        if line.awaited is not None and await _was_taken(store, line, line.awaited):
            raise StatementLineDecided(state=LineStatus.APPROVED.value)
        await uow.statements.decide(line, wanted, who, note)
        await uow.audit(f"bank_statement.line_{wanted}", str(line.id), actor=who, reason=note)
