"""Members, their roles, invitations and settings of the active organization: what its people change."""

from typing import Annotated
from uuid import UUID

from common.auth import Principal, requires
from common.web import Page, PagingDep
from fastapi import APIRouter, Response

from tenancy.api.dependencies import ToolsDep, only_active
from tenancy.api.schemas.organizations import (
    DeletionIn,
    DeletionOut,
    DeletionStateOut,
    InvitationOut,
    MemberOut,
    NewOwnerIn,
    RoleIn,
    SettingsIn,
    SettingsOut,
)
from tenancy.domain.roles import highest
from tenancy.usecases.ask_for_deletion import ask_for_deletion, call_off_deletion
from tenancy.usecases.change_member import change_role, transfer_ownership
from tenancy.usecases.change_settings import change_settings
from tenancy.usecases.remove_member import remove_member
from tenancy.usecases.renew_invitation import resend_invitation, revoke_invitation

router = APIRouter(prefix="/api/tenants/organizations/{organization_id}", tags=["organizations"])
Member = Annotated[Principal, requires()]
Admin = Annotated[Principal, requires("owner", "admin")]
Owner = Annotated[Principal, requires("owner")]


@router.get("/settings/")
async def settings(organization_id: UUID, tools: ToolsDep, who: Admin) -> SettingsOut:
    """Who the organization is on its invoices, and whom to reach."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return SettingsOut.model_validate(await uow.organizations.particulars(who.tenant_id))


@router.patch("/settings/")
async def change(organization_id: UUID, wanted: SettingsIn, tools: ToolsDep, who: Admin) -> SettingsOut:
    """Change some of it; invoices that were issued stay as they are."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return SettingsOut.model_validate(await change_settings(uow, wanted.changes(), actor=who.user_id))


@router.patch("/members/{user_id}/")
async def set_role(organization_id: UUID, user_id: UUID, wanted: RoleIn, tools: ToolsDep, who: Admin) -> MemberOut:
    """Give a member another role."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return MemberOut.of(await change_role(uow, user_id, wanted.role, actor=who.user_id))


@router.delete("/members/{user_id}/", status_code=204)
async def remove(organization_id: UUID, user_id: UUID, tools: ToolsDep, who: Admin) -> Response:
    """End a membership; the API keys that the member made end with it."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await remove_member(uow, user_id, actor=who.user_id)
    return Response(status_code=204)


@router.post("/leave/", status_code=204)
async def leave(organization_id: UUID, tools: ToolsDep, who: Member) -> Response:
    """End one's own membership; the last owner hands the organization over first."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await remove_member(uow, who.user_id, actor=who.user_id)
    return Response(status_code=204)


@router.post("/transfer_ownership/")
async def transfer(organization_id: UUID, wanted: NewOwnerIn, tools: ToolsDep, who: Owner) -> MemberOut:
    """Hand the organization over to a member; the caller stays as an admin."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return MemberOut.of(await transfer_ownership(uow, wanted.user_id, actor=who.user_id))


@router.get("/deletion/")
async def deletion(organization_id: UUID, tools: ToolsDep, who: Member) -> DeletionStateOut:
    """Whether and when the organization will be deleted: its members see it coming."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        return DeletionStateOut(deletion_due_at=await uow.organizations.deletion_due_at(who.tenant_id))


@router.post("/deletion/", status_code=202)
async def ask_deletion(organization_id: UUID, wanted: DeletionIn, tools: ToolsDep, who: Owner) -> DeletionOut:
    """Ask that the organization be deleted, after a grace."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        due = await ask_for_deletion(
            uow,
            tools.letters,
            confirmation=wanted.confirmation,
            grace=tools.settings.deletion_grace,
            actor=who.user_id,
        )
    return DeletionOut(deletion_due_at=due)


@router.delete("/deletion/", status_code=204)
async def keep(organization_id: UUID, tools: ToolsDep, who: Owner) -> Response:
    """Call the deletion off."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await call_off_deletion(uow, tools.letters, actor=who.user_id)
    return Response(status_code=204)


@router.get("/invitations/")
async def invitations(organization_id: UUID, tools: ToolsDep, who: Admin, paging: PagingDep) -> Page[InvitationOut]:
    """Open invitations, newest first; expired ones are among them and can be sent again."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        found = await uow.invitations.open_ones(who.tenant_id, after=paging.after, limit=paging.rows)
    return paging.page(found, InvitationOut.of, lambda invitation: (invitation.id,))


@router.post("/invitations/{invitation_id}/resend/")
async def resend(organization_id: UUID, invitation_id: UUID, tools: ToolsDep, who: Admin) -> InvitationOut:
    """Mail a new link; the former one stops working."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        renewed = await resend_invitation(
            uow,
            tools.letters,
            invitation_id,
            sender_id=who.user_id,
            sender_role=highest(who.roles),
            lifetime=tools.settings.invitation_lifetime,
        )
    return InvitationOut.of(renewed)


@router.delete("/invitations/{invitation_id}/", status_code=204)
async def take_back(organization_id: UUID, invitation_id: UUID, tools: ToolsDep, who: Admin) -> Response:
    """Let an invitation work no more."""
    await only_active(tools, who, organization_id)
    async with tools.store.for_tenant(who.tenant_id) as uow:
        await revoke_invitation(uow, invitation_id, actor=who.user_id)
    return Response(status_code=204)
