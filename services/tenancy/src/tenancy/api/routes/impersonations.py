"""Impersonations: the staff begins and ends its own, an organization sees all of its and ends any."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires, requires_staff
from common.web import Page, PagingDep
from fastapi import APIRouter, Response

from tenancy.api.dependencies import ToolsDep, only_active
from tenancy.api.schemas.impersonations import ImpersonateIn, ImpersonationOut, ImpersonationTokenOut
from tenancy.usecases.impersonate import end_impersonation
from tenancy.workflows.impersonating import Acting, act_again, begin_to_act

router = APIRouter(tags=["impersonation"])
ADMIN = "/api/admin/organizations/{organization_id}/impersonations/"
MINE = "/api/tenants/organizations/{organization_id}/impersonations/"
Desk = Annotated[Principal, requires_staff("support", "admin")]


@router.post(ADMIN, status_code=201)
async def start(organization_id: UUID, wanted: ImpersonateIn, who: Desk, tools: ToolsDep) -> ImpersonationTokenOut:
    """Read an organization's affairs as its viewers do, for some minutes; the owner gets a letter."""
    acting = await begin_to_act(
        tools, organization_id, who.user_id, who.session_id, reason=wanted.reason, minutes=wanted.minutes
    )
    return _out(acting)


@router.post(ADMIN + "{impersonation_id}/token/")
async def token(organization_id: UUID, impersonation_id: UUID, who: Desk, tools: ToolsDep) -> ImpersonationTokenOut:
    """Another token of one's own running impersonation: each is good for ten minutes at most."""
    return _out(await act_again(tools, organization_id, impersonation_id, who.user_id, who.session_id))


@router.delete(ADMIN + "{impersonation_id}/", status_code=204)
async def end(organization_id: UUID, impersonation_id: UUID, who: Desk, tools: ToolsDep) -> Response:
    """End one's own impersonation; an admin of the platform ends anybody's."""
    only_of = None if "admin" in who.staff_roles else who.user_id
    async with tools.store.for_tenant(organization_id) as uow:
        await end_impersonation(uow, impersonation_id, by=who.user_id, only_of=only_of)
    return Response(status_code=204)


@router.get(MINE)
async def seen(
    organization_id: UUID, tools: ToolsDep, who: Annotated[Principal, requires("owner", "admin")], paging: PagingDep
) -> Page[ImpersonationOut]:
    """Who of the platform's staff read the organization's affairs, when and why; newest first."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.impersonations.page(who.tenant_id, before=paging.after, limit=paging.rows)
    return paging.page(found, ImpersonationOut.model_validate, lambda one: (one.id,))


@router.delete(MINE + "{impersonation_id}/", status_code=204)
async def stop(
    organization_id: UUID, impersonation_id: UUID, tools: ToolsDep, who: Annotated[Principal, requires("owner")]
) -> Response:
    """End one at once: an owner need not bear it."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await end_impersonation(uow, impersonation_id, by=who.user_id)
    return Response(status_code=204)


def _out(acting: Acting) -> ImpersonationTokenOut:
    about = acting.impersonation
    return ImpersonationTokenOut(
        id=about.id,
        organization=about.tenant_id,
        expires_at=about.expires_at,
        access_token=acting.token,
        expires_in=int(acting.lasting.total_seconds()),
    )
