"""What routes work with: tools, who may call, the organization's state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from common.auth import Principal, requires
from common.persistence import Store
from common.persistence.export import Exporter
from fastapi import Depends, Request

from backup_engine.domain.tenant import Act, Tenant
from backup_engine.errors import QuotaReached
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.hypervisor import HypervisorConnector
from backup_engine.ports.secrets import SecretBox
from backup_engine.usecases.request_backup import note_quota_hit
from backup_engine.workflows.read_point import PointReaders

Reader = Annotated[Principal, requires("owner", "admin", "member", "viewer")]
InPerson = Annotated[Principal, requires("owner", "admin", "member", "viewer", in_person=True)]
"""What is inside backups: no member of the platform's staff reads it in a customer's name."""
Manager = Annotated[Principal, requires("owner", "admin")]
Writer = Annotated[Principal, requires("owner", "admin", "member")]


@dataclass(frozen=True, slots=True)
class Tools:
    """What the routes work with; `bootstrap` fills it."""

    store: Store[UnitOfWork]
    connector: HypervisorConnector
    box: SecretBox
    readers: PointReaders
    has_export_folder: bool
    exporter: Exporter


async def _tools(request: Request) -> Tools:
    tools: Tools = request.app.state.tools
    return tools


ToolsDep = Annotated[Tools, Depends(_tools)]


@asynccontextmanager
async def opened(tools: Tools, who: Principal, act: Act = Act.READ) -> AsyncIterator[tuple[UnitOfWork, Tenant]]:
    """A transaction of the caller's organization, if its state allows the act.

    Raises:
        OrganizationBeingPrepared: its provisioning has not arrived here.
        OrganizationDeleted: it has been deleted.
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
