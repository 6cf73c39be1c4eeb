"""What routes share: who may call, the organization's state, pages, languages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

from common.auth import Principal, requires
from common.persistence import Store
from common.web import Cursor, Page, language_of
from common.web.pages import DEFAULT_LIMIT, LARGEST_LIMIT
from fastapi import Depends, Header, Query, Request

from backup_engine.domain.tenant import Act, Tenant
from backup_engine.errors import QuotaReached
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.hypervisor import HypervisorConnector
from backup_engine.ports.secrets import SecretBox
from backup_engine.usecases.read_point import PointReaders
from backup_engine.usecases.request_backup import note_quota_hit

Reader = Annotated[Principal, requires("owner", "admin", "member", "viewer")]
Writer = Annotated[Principal, requires("owner", "admin", "member")]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
PageSize = Annotated[int, Query(ge=1, le=LARGEST_LIMIT)]
PAGE_SIZE = DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class Tools:
    """What the routes work with; `bootstrap` fills it."""

    store: Store[UnitOfWork]
    connector: HypervisorConnector
    box: SecretBox
    readers: PointReaders
    has_export_folder: bool


def _tools(request: Request) -> Tools:
    tools: Tools = request.app.state.tools
    return tools


ToolsDep = Annotated[Tools, Depends(_tools)]


def _language(request: Request) -> str:
    return language_of(request.headers.get("accept-language"))


Language = Annotated[str, Depends(_language)]


@asynccontextmanager
async def opened(tools: Tools, who: Principal, act: Act = Act.READ) -> AsyncIterator[tuple[UnitOfWork, Tenant]]:
    """A transaction of the caller's organization, if its state allows the act.

    Raises:
        OrganizationBeingPrepared: its provisioning has not arrived here.
        OrganizationSuspended: reading and restoring only.
    """
    try:
        async with tools.store.for_tenant(who.tenant_id) as uow:
            tenant = await uow.tenants.get()
            tenant.allow(act)
            yield uow, tenant
    except QuotaReached as refused:
        async with tools.store.for_tenant(who.tenant_id) as uow:
            await note_quota_hit(uow, refused)
        raise


def after(cursor: str | None) -> UUID | None:
    """The id after which the wanted page begins. Raises InvalidCursor."""
    found = Cursor.decode(cursor)
    return found.row_id() if found else None


T = TypeVar("T")
A = TypeVar("A")


def paged(rows: list[T], size: int, shown: Callable[[T], A], key: Callable[[T], Any]) -> Page[A]:
    """A page of at most ``size`` of the ``size`` + 1 rows that were read."""
    more = Cursor((str(key(rows[size - 1])),)).encode() if len(rows) > size else None
    return Page[Any](results=[shown(row) for row in rows[:size]], next=more)
