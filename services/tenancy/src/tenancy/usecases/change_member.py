"""Give a member another role, or hand the organization over. Everything is decided under the organization's lock."""

from dataclasses import replace
from uuid import UUID

from tenancy.domain.membership import Membership
from tenancy.domain.roles import Role, may_change, may_grant
from tenancy.errors import EmailNotVerified, MemberNotFound, RoleNotGrantable
from tenancy.events import MemberRoleChanged
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.keys import end_keys_made_by
from tenancy.usecases.steps.owners import keep_an_owner, tell_of_owner
from tenancy.usecases.steps.room import writable_organization


async def change_role(uow: UnitOfWork, user_id: UUID, role: Role, *, actor: UUID) -> Membership:
    """Give a member another role; the same one again changes nothing. Keys that he made and that may do more end.

    Raises:
        MemberNotFound, OrganizationSuspended: as they say.
        RoleNotGrantable: the actor may not touch the present role, or not grant the new one.
        LastOwner: nobody would own the organization.
    """
    organization = await writable_organization(uow)
    member = await uow.memberships.get(organization.id, user_id)
    if member is None:
        raise MemberNotFound
    # What the token says may be ten minutes old: who was demoted meanwhile does not go on promoting.
    acting = await uow.memberships.get(organization.id, actor)
    if acting is None or not may_change(acting.role, member.role):
        raise RoleNotGrantable(role=member.role.value)
    if not may_grant(acting.role, role):
        raise RoleNotGrantable(role=role.value)
    if member.role is role:
        return member
    if member.role is Role.OWNER:
        organization = await keep_an_owner(uow, organization, without=member)
    await uow.memberships.set_role(member, role)
    await end_keys_made_by(uow, member, actor=actor, now_is=role)
    await _tell(uow, member, role, actor)
    return replace(member, role=role)


async def transfer_ownership(uow: UnitOfWork, user_id: UUID, *, actor: UUID) -> Membership:
    """Make another member the owner by whom the organization goes, and the present one an admin.

    Raises:
        MemberNotFound, OrganizationSuspended: as they say.
        RoleNotGrantable: the actor owns nothing (any more).
        EmailNotVerified: the new owner could not be reached.
    """
    organization = await writable_organization(uow)
    giving = await uow.memberships.get(organization.id, actor)
    taking = await uow.memberships.get(organization.id, user_id)
    if giving is None or giving.role is not Role.OWNER:
        raise RoleNotGrantable(role=Role.OWNER.value)
    if taking is None:
        raise MemberNotFound
    if taking.user_id == giving.user_id:
        return taking
    person = await uow.people.named(user_id)
    if person is None or person.email_verified_at is None:
        raise EmailNotVerified
    if taking.role is not Role.OWNER:
        await uow.memberships.set_role(taking, Role.OWNER)
        await _tell(uow, taking, Role.OWNER, actor)
    await uow.memberships.set_role(giving, Role.ADMIN)
    await _tell(uow, giving, Role.ADMIN, actor)
    handed = replace(organization, owner_user_id=user_id, version=organization.version + 1)
    await tell_of_owner(uow, organization, handed, actor)
    return replace(taking, role=Role.OWNER)


async def _tell(uow: UnitOfWork, member: Membership, role: Role, actor: UUID) -> None:
    await uow.publish(MemberRoleChanged(user_id=member.user_id, role=role.value), subject=str(member.user_id))
    before, after = {"role": member.role.value}, {"role": role.value}
    await uow.audit("member.role_changed", str(member.user_id), actor=actor, before=before, after=after)
