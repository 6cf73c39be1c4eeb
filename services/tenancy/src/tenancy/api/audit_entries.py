"""What the audit logs of organizations and of the platform share: how they are narrowed, paged and exported."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from common.web import Page, Paging
from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from tenancy.api.schemas.audit import AuditEntryOut
from tenancy.domain.audit import AuditEntry, AuditFilter

EXPORT_PAGE = 500
"""Entries read in one transaction of an export."""

Position = tuple[datetime, UUID] | None
Text = Annotated[str | None, Query(min_length=1, max_length=200)]


async def _wanted(
    actor: Text = None,
    action: Text = None,
    target: Text = None,
    since: Annotated[AwareDatetime | None, Query()] = None,
    until: Annotated[AwareDatetime | None, Query()] = None,
) -> AuditFilter:
    return AuditFilter(actor=actor, action=action, target=target, since=since, until=until)


Wanted = Annotated[AuditFilter, Depends(_wanted)]


def as_page(found: list[AuditEntry], paging: Paging) -> Page[AuditEntryOut]:
    """A page of entries, newest first."""
    return paging.page(found, AuditEntryOut.model_validate, lambda entry: (entry.at.isoformat(), entry.id))


async def as_file(name: str, read: Callable[[Position, int], Awaitable[list[AuditEntry]]]) -> StreamingResponse:
    """All entries as a file, one JSON object a line; the first of them are read before it begins.

    Args:
        name: of the file.
        read: at most so many entries before a position, newest first.
    """
    return StreamingResponse(
        _lines(read, await read(None, EXPORT_PAGE)),
        media_type="application/x-ndjson",
        headers={"content-disposition": f'attachment; filename="{name}.ndjson"'},
    )


async def _lines(
    read: Callable[[Position, int], Awaitable[list[AuditEntry]]], page: list[AuditEntry]
) -> AsyncIterator[str]:
    # Newest first, so that the rows which the reading itself leaves never come into it.
    while True:
        for entry in page:
            yield AuditEntryOut.model_validate(entry).model_dump_json() + "\n"
        if len(page) < EXPORT_PAGE:
            return
        page = await read((page[-1].at, page[-1].id), EXPORT_PAGE)
