"""``/api/admin/bank-statement…``: import a statement, look at its lines, decide about them. All of it is audited."""

import asyncio
import hashlib
from typing import Annotated
from uuid import UUID

from common.web import Page, PagingDep, ReadReason
from fastapi import APIRouter, File, Query, UploadFile

from billing.api.dependencies import Finance, Tools, ToolsDep
from billing.api.schemas.statements import ImportedOut, LineOut, NoteIn, ProposeIn
from billing.domain.statement import LineStatus
from billing.errors import StatementLineNotFound, StatementOfAnotherAccount, StatementTooLarge
from billing.usecases.import_statement import import_statement
from billing.workflows.statement_lines import approve_line, decide_line, propose_line

router = APIRouter(prefix="/api/admin", tags=["back office"])

STATEMENT_BYTES = 4_000_000
"""A month of a busy account in CAMT.053."""


def _is_ours(tools: Tools, account: str | None) -> bool:
    """Say whether a statement is of the account that customers are told; one that names none is believed."""
    told = {"".join(text.split()).upper() for text in (tools.settings.bank_iban, tools.settings.bank_account_number)}
    return account is None or "".join(account.split()).upper() in told


@router.post("/bank-statements/", status_code=201)
async def import_bank_statement(
    who: Finance, tools: ToolsDep, file: Annotated[UploadFile, File()], reason: ReadReason = "bank statement imported"
) -> ImportedOut:
    content = await file.read(STATEMENT_BYTES + 1)
    if len(content) > STATEMENT_BYTES:
        raise StatementTooLarge(limit_bytes=STATEMENT_BYTES)
    statement = await asyncio.to_thread(tools.read_statement, content, tools.settings.bank_currency)
    if not _is_ours(tools, statement.account):
        raise StatementOfAnotherAccount
    async with tools.store.for_system("staff") as uow:
        imported = await import_statement(uow, statement, hashlib.sha256(content).hexdigest(), who.user_id, reason)
    return ImportedOut.model_validate(imported)


@router.get("/bank-statement-lines/")
async def list_statement_lines(
    who: Finance,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    status: Annotated[LineStatus, Query()] = LineStatus.PROPOSED,
) -> Page[LineOut]:
    async with tools.store.for_system("staff") as uow:
        lines = await uow.statements.page(status, paging.after, paging.rows)
        await uow.audit("bank_statement.lines_listed", f"status={status}", actor=who.user_id, reason=reason)
    return paging.page(lines, LineOut.of, lambda line: (line.id,))


async def _line(tools: Tools, line_id: UUID) -> LineOut:
    async with tools.store.for_system("staff") as uow:
        line = await uow.statements.lock(line_id)
    if line is None:
        raise StatementLineNotFound
    return LineOut.of(line)


@router.post("/bank-statement-lines/{line_id}/approve/")
async def approve_statement_line(line_id: UUID, said: NoteIn, who: Finance, tools: ToolsDep) -> LineOut:
    await approve_line(tools.store, line_id, who=who.user_id, note=said.note, issuer=tools.issuer)
    return await _line(tools, line_id)


@router.post("/bank-statement-lines/{line_id}/propose/")
async def propose_statement_line(line_id: UUID, said: ProposeIn, who: Finance, tools: ToolsDep) -> LineOut:
    await propose_line(tools.store, line_id, said.payment_id, who=who.user_id, note=said.note)
    return await _line(tools, line_id)


@router.post("/bank-statement-lines/{line_id}/release/")
async def release_statement_line(line_id: UUID, said: NoteIn, who: Finance, tools: ToolsDep) -> LineOut:
    await decide_line(tools.store, line_id, LineStatus.UNMATCHED, who=who.user_id, note=said.note)
    return await _line(tools, line_id)


@router.post("/bank-statement-lines/{line_id}/dismiss/")
async def dismiss_statement_line(line_id: UUID, said: NoteIn, who: Finance, tools: ToolsDep) -> LineOut:
    await decide_line(tools.store, line_id, LineStatus.DISMISSED, who=who.user_id, note=said.note)
    return await _line(tools, line_id)
