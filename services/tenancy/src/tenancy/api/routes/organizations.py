"""`/api/tenants/organizations/` and accepting an invitation."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from common.auth import Principal, requires, requires_person
from common.idempotency import once
from common.web import IdempotencyKey, Page, Paging, PagingDep
from common.web.pages import InvalidCursor
from fastapi import APIRouter, Request

from tenancy.api.dependencies import ToolsDep, only_active, position_in_time
from tenancy.api.schemas.organizations import (
    AcceptedOut,
    InvitationOut,
    InviteIn,
    MemberOut,
    OrganizationOut,
    UsageMonthOut,
    UsageOut,
)
from tenancy.domain.organization import Organization
from tenancy.domain.roles import highest
from tenancy.errors import OrganizationNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.accept_invitation import accept_invitation, find_invitation
from tenancy.usecases.invite_member import invite_member
from tenancy.usecases.read_usage import read_usage

router = APIRouter(tags=["organizations"])
ORGANIZATION = "/api/tenants/organizations/{organization_id}"


@router.get("/api/tenants/organizations/")
async def mine(
    tools: ToolsDep, who: Annotated[Principal, requires_person()], paging: PagingDep
) -> Page[OrganizationOut]:
    """All organizations of the caller, whichever is active.

    Which they are is the person's to read; each is then read through its own tenant's door, because the person's
    door sees memberships only.
    """
    async with tools.store.for_user(who.user_id) as uow:
        memberships = await uow.memberships.of_person(who.user_id)
    start = position_in_time(paging)
    later = [row for row in memberships if start is None or (row.joined_at, row.tenant_id) > start]
    shown = {}
    for row in later[: paging.limit]:
        async with tools.store.for_tenant(row.tenant_id) as uow:
            shown[row.tenant_id] = OrganizationOut.of(await _existing(uow))
    return paging.page(later, lambda row: shown[row.tenant_id], lambda row: (row.joined_at.isoformat(), row.tenant_id))


@router.get(ORGANIZATION + "/")
async def detail(organization_id: UUID, tools: ToolsDep, who: Annotated[Principal, requires()]) -> OrganizationOut:
    """The active organization."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return OrganizationOut.of(await _existing(uow))


@router.get(ORGANIZATION + "/members/")
async def members(
    organization_id: UUID,
    tools: ToolsDep,
    who: Annotated[Principal, requires()],
    paging: PagingDep,
) -> Page[MemberOut]:
    """Members of the active organization, in the order in which they joined."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.memberships.of_tenant(who.tenant_id, after=position_in_time(paging), limit=paging.rows)
    return paging.page(found, MemberOut.of, lambda member: (member.joined_at.isoformat(), member.user_id))


@router.post(ORGANIZATION + "/invite_member/", status_code=201)
async def invite(
    organization_id: UUID,
    wanted: InviteIn,
    request: Request,
    tools: ToolsDep,
    who: Annotated[Principal, requires("owner", "admin")],
    key: IdempotencyKey = None,
) -> InvitationOut:
    """Mail somebody a link with which they can join."""
    await only_active(tools, who, organization_id)

    async def act() -> tuple[int, Any]:
        invitation = await invite_member(
            uow,
            tools.letters,
            inviter_id=who.user_id,
            inviter_role=highest(who.roles),
            email=wanted.email,
            role=wanted.role,
            lifetime=tools.settings.invitation_lifetime,
        )
        return 201, InvitationOut.of(invitation).model_dump(mode="json")

    body = await request.body()
    async with tools.store.for_tenant(who.tenant_id) as uow:
        _status, answer = await once(uow, who.tenant_id, "POST invite_member", key, body, act)
    return InvitationOut.model_validate(answer)


@router.get(ORGANIZATION + "/usage/")
async def usage(organization_id: UUID, tools: ToolsDep, who: Annotated[Principal, requires()]) -> UsageOut:
    """Figures of the running usage month beside the plan's limits."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        organization = await _existing(uow)
        return UsageOut.of(await read_usage(uow, organization), organization)


@router.get(ORGANIZATION + "/usage/history/")
async def usage_history(
    organization_id: UUID, tools: ToolsDep, who: Annotated[Principal, requires()], paging: PagingDep
) -> Page[UsageMonthOut]:
    """Figures of each usage month that had any, newest first."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.usage.history(who.tenant_id, before=_month(paging), limit=paging.rows)
    return paging.page(found, UsageMonthOut.of_month, lambda usage: (usage.month.start,))


@router.post("/api/auth/invitations/{token}/accept/")
async def accept(token: str, tools: ToolsDep, who: Annotated[Principal, requires_person()]) -> AcceptedOut:
    """Join the organization of a mailed link; which one it is, only the link tells."""
    async with tools.store.for_system("auth") as uow:
        invitation = await find_invitation(uow, token)
    async with tools.store.for_tenant(invitation.tenant_id) as uow:
        member = await accept_invitation(uow, token, who.user_id)
    return AcceptedOut(organization=member.tenant_id, role=member.role)


async def _existing(uow: UnitOfWork) -> Organization:
    found = await uow.organizations.get(uow.tenant_id)
    if found is None:
        raise OrganizationNotFound
    return found


def _month(paging: Paging) -> date | None:
    if paging.start is None:
        return None
    try:
        (start,) = paging.start.position
        return date.fromisoformat(start)
    except (TypeError, ValueError):
        raise InvalidCursor from None
