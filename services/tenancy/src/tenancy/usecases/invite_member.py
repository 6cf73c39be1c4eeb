"""Invite somebody by e-mail."""

from datetime import timedelta
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.invitations import WINDOW, Invitation, pause
from tenancy.domain.people import normalized_email
from tenancy.domain.roles import Role, may_grant
from tenancy.domain.secrets import digest, new_token
from tenancy.errors import AlreadyMember, EmailNotVerified, InvalidEmail, RoleNotGrantable, TooManyInvitations
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.invitation_letter import send_invitation
from tenancy.usecases.steps.room import count_users, writable_organization


async def invite_member(
    uow: UnitOfWork,
    letters: Letters,
    *,
    inviter_id: UUID,
    inviter_role: Role,
    email: str,
    role: Role,
    lifetime: timedelta,
) -> Invitation:
    """Send a single-use link to an address; an earlier open invitation to it stops working.

    Raises:
        InvalidEmail, RoleNotGrantable, EmailNotVerified, OrganizationSuspended, AlreadyMember: as they say.
        TooManyInvitations: the organization has sent as many within the hour as it may, to this address or to all.
        QuotaReached: members and open invitations fill the plan's users.
    """
    address = normalized_email(email)
    if address is None:
        raise InvalidEmail
    if not may_grant(inviter_role, role):
        raise RoleNotGrantable(role=role.value)
    organization = await writable_organization(uow)
    inviter = await uow.people.named(inviter_id)
    if inviter is None or inviter.email_verified_at is None:
        raise EmailNotVerified
    if await uow.memberships.has_email(organization.id, address):
        raise AlreadyMember
    now = uow.clock.now()
    if (wait := pause(await uow.invitations.sent_since(organization.id, now - WINDOW), address, now)) is not None:
        raise TooManyInvitations(retry_after=wait)
    invited = await uow.invitations.count_open(organization.id, now, but_for=address)
    await count_users(uow, organization, invited=invited)
    token = new_token()
    invitation = Invitation(uuid7(), organization.id, address, role, inviter_id, now, now + lifetime, now)
    await uow.invitations.replace_open(organization.id, address)
    await uow.invitations.add(invitation, digest(token))
    await send_invitation(uow, letters, invitation, organization, inviter, token)
    await uow.audit("member.invited", str(invitation.id), actor=inviter_id, details={"role": role.value})
    return invitation
