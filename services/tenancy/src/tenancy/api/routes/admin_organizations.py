"""`/api/admin/organizations/`: what the platform's staff sees and does of organizations that are not theirs.

Each read and each act has a reason, and a row of the audit log in its own transaction: without the row there is no
answer. What concerns one organization, its owners read in their own log.
"""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires_staff
from common.web import Page, PagingDep, ReadReason
from fastapi import APIRouter, Query

from tenancy.api.dependencies import ToolsDep, position_in_time
from tenancy.api.schemas.audit import AuditEntryOut
from tenancy.api.schemas.office import EntitlementsIn, OrganizationDossierOut, ReasonIn
from tenancy.api.schemas.organizations import MemberOut, OrganizationOut, UsageOut
from tenancy.domain.audit import AuditFilter
from tenancy.domain.organization import Status
from tenancy.errors import OrganizationNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.hold_organization import grant_entitlements, hold_organization, release_organization
from tenancy.usecases.read_usage import read_usage

router = APIRouter(prefix="/api/admin/organizations", tags=["back office"])
Staff = Annotated[Principal, requires_staff("support", "finance", "admin")]
Admin = Annotated[Principal, requires_staff("admin")]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]

SHOWN_MEMBERS = 200


@router.get("/")
async def search(
    who: Staff,
    reason: ReadReason,
    tools: ToolsDep,
    paging: PagingDep,
    search: Text = None,
    status: Annotated[Status | None, Query()] = None,
    plan: Text = None,
) -> Page[OrganizationOut]:
    """Organizations by a part of name, slug or address, by status and by plan; newest first."""
    async with tools.store.for_system("staff") as uow:
        found = await uow.organizations.search(
            text=search, status=status, plan=plan, after=paging.after, limit=paging.rows
        )
        scope = {"search": search, "status": status and status.value, "plan": plan}
        shown = [str(one.id) for one in found[: paging.limit]]
        await uow.audit(
            "organizations.searched_by_staff",
            "organizations",
            actor=who.user_id,
            reason=reason,
            details={"scope": scope, "shown": shown},
        )
    return paging.page(found, OrganizationOut.of, lambda one: (one.id,))


@router.get("/{organization_id}/")
async def dossier(organization_id: UUID, who: Staff, reason: ReadReason, tools: ToolsDep) -> OrganizationDossierOut:
    """One organization with its members, figures and entitlements."""
    async with tools.store.for_tenant(organization_id) as uow:
        answer = await _dossier(uow)
        await uow.audit("organization.read_by_staff", str(organization_id), actor=who.user_id, reason=reason)
    return answer


@router.get("/{organization_id}/audit-log/")
async def audit_log(
    organization_id: UUID, who: Staff, reason: ReadReason, tools: ToolsDep, paging: PagingDep
) -> Page[AuditEntryOut]:
    """What was done in one organization, newest first; that it was read is the next entry."""
    async with tools.store.for_tenant(organization_id) as uow:
        if await uow.organizations.get(organization_id) is None:
            raise OrganizationNotFound
        found = await uow.audit_trail.page(
            organization_id, AuditFilter(), before=position_in_time(paging), limit=paging.rows
        )
        await uow.audit("audit_log.read_by_staff", str(organization_id), actor=who.user_id, reason=reason)
    return paging.page(found, AuditEntryOut.model_validate, lambda entry: (entry.at.isoformat(), entry.id))


@router.post("/{organization_id}/suspend/")
async def suspend(organization_id: UUID, wanted: ReasonIn, who: Admin, tools: ToolsDep) -> OrganizationOut:
    """Hold it: suspended until staff lets it go, whatever is paid."""
    async with tools.store.for_tenant(organization_id) as uow:
        held = await hold_organization(uow, tools.letters, actor=who.user_id, reason=wanted.reason)
    return OrganizationOut.of(held)


@router.post("/{organization_id}/reactivate/")
async def reactivate(organization_id: UUID, wanted: ReasonIn, who: Admin, tools: ToolsDep) -> OrganizationOut:
    """Let go what staff held."""
    async with tools.store.for_tenant(organization_id) as uow:
        released = await release_organization(uow, tools.letters, actor=who.user_id, reason=wanted.reason)
    return OrganizationOut.of(released)


@router.patch("/{organization_id}/entitlements/")
async def entitle(organization_id: UUID, wanted: EntitlementsIn, who: Admin, tools: ToolsDep) -> OrganizationOut:
    """Give it other quotas, features or retention, until its next order has its effect."""
    async with tools.store.for_tenant(organization_id) as uow:
        current = await grant_entitlements(
            uow, tools.letters, wanted.changes(), actor=who.user_id, reason=wanted.reason
        )
    return OrganizationOut.of(current)


async def _dossier(uow: UnitOfWork) -> OrganizationDossierOut:
    organization = await uow.organizations.get(uow.tenant_id)
    if organization is None:
        raise OrganizationNotFound
    members = await uow.memberships.of_tenant(organization.id, after=None, limit=SHOWN_MEMBERS)
    bought = organization.entitlements
    return OrganizationDossierOut(
        organization=OrganizationOut.of(organization),
        usage=UsageOut.of(await read_usage(uow, organization), organization),
        members=[MemberOut.of(member) for member in members],
        quotas=bought.quotas,
        features=bought.features,
        retention=bought.retention,
        held_for=await uow.organizations.held_for(organization.id),
        deletion_due_at=await uow.organizations.deletion_due_at(organization.id),
        created_at=organization.created_at,
        source_order_id=organization.source_order_id,
    )
