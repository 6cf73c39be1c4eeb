"""Send an invitation again, or take it back."""

from datetime import timedelta
from uuid import UUID

from tenancy.domain.invitations import RESEND_AFTER, Invitation
from tenancy.domain.roles import Role, may_grant
from tenancy.domain.secrets import digest, new_token
from tenancy.errors import EmailNotVerified, InvitationJustSent, InvitationNotFound, RoleNotGrantable
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.invitation_letter import send_invitation
from tenancy.usecases.steps.room import count_users, writable_organization


async def resend_invitation(
    uow: UnitOfWork, letters: Letters, invitation_id: UUID, *, sender_id: UUID, sender_role: Role, lifetime: timedelta
) -> Invitation:
    """Mail a new link; the former one stops working.

    Raises:
        InvitationNotFound: there is none that is open.
        InvitationJustSent: the last mail is too young.
        RoleNotGrantable, EmailNotVerified, OrganizationSuspended, QuotaReached: as they say.
    """
    organization = await writable_organization(uow)
    invitation = await _open(uow, invitation_id)
    if not may_grant(sender_role, invitation.role):
        raise RoleNotGrantable(role=invitation.role.value)
    now = uow.clock.now()
    if (wait := invitation.sent_at + RESEND_AFTER - now) > timedelta():
        raise InvitationJustSent(retry_after=wait)
    sender = await uow.people.named(sender_id)
    if sender is None or sender.email_verified_at is None:
        raise EmailNotVerified
    others = await uow.invitations.count_open(organization.id, now, but_for=invitation.email)
    await count_users(uow, organization, invited=others)
    renewed, token = invitation.renewed(now, lifetime), new_token()
    await uow.invitations.renew(renewed, digest(token))
    await send_invitation(uow, letters, renewed, organization, sender, token)
    await uow.audit("invitation.sent_again", str(invitation.id), actor=sender_id)
    return renewed


async def revoke_invitation(uow: UnitOfWork, invitation_id: UUID, *, actor: UUID) -> None:
    """Let an open invitation work no more; a suspended organization may do it too.

    Raises:
        InvitationNotFound: there is none that is open.
    """
    await uow.organizations.get(uow.tenant_id, lock=True)
    invitation = await _open(uow, invitation_id)
    await uow.invitations.revoke(invitation)
    await uow.audit("invitation.revoked", str(invitation.id), actor=actor, before={"role": invitation.role.value})


async def _open(uow: UnitOfWork, invitation_id: UUID) -> Invitation:
    invitation = await uow.invitations.get(uow.tenant_id, invitation_id)
    if invitation is None or not invitation.open:
        raise InvitationNotFound
    return invitation
