"""End a membership: one's own, or another's. A suspended organization may do it too, for it takes access away."""

from uuid import UUID

from tenancy.domain.organization import Organization
from tenancy.domain.roles import Role, may_change
from tenancy.errors import MemberNotFound, OrganizationNotFound, RoleNotGrantable
from tenancy.events import MemberRemoved
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.keys import end_keys_made_by
from tenancy.usecases.steps.owners import keep_an_owner
from tenancy.usecases.steps.running_month import note_members


async def remove_member(uow: UnitOfWork, user_id: UUID, *, actor: UUID) -> None:
    """Remove a member; whoever removes himself leaves. The keys that he made end with it.

    The webhook endpoints that he made are the organization's and stay, or it would miss what it relies on; the audit
    row names them, so that whoever removes him looks at where they lead.

    Raises:
        MemberNotFound: there is no such member.
        RoleNotGrantable: the actor may not touch a member of that role.
        LastOwner: nobody would own the organization.
    """
    organization = await uow.organizations.get(uow.tenant_id, lock=True)
    if organization is None:
        raise OrganizationNotFound
    member = await uow.memberships.get(organization.id, user_id)
    if member is None:
        raise MemberNotFound
    acting = await uow.memberships.get(organization.id, actor)
    if actor != user_id and (acting is None or not may_change(acting.role, member.role)):
        raise RoleNotGrantable(role=member.role.value)
    if member.role is Role.OWNER:
        organization = await keep_an_owner(uow, organization, without=member)
    await uow.memberships.remove(member)
    await end_keys_made_by(uow, member, actor=actor)
    await _count(uow, organization)
    await uow.publish(MemberRemoved(user_id=user_id, removed_by=actor), subject=str(user_id))
    action = "member.left" if actor == user_id else "member.removed"
    endpoints = await uow.webhook_endpoints.made_by(organization.id, user_id)
    details = {"webhook_endpoints_stay": [str(one) for one in endpoints]} if endpoints else {}
    await uow.audit(action, str(user_id), actor=actor, before={"role": member.role.value}, details=details)


async def _count(uow: UnitOfWork, organization: Organization) -> None:
    await note_members(uow, organization, await uow.memberships.count(organization.id))
