"""Accept an invitation."""

from uuid import UUID

from tenancy.domain.invitations import Invitation
from tenancy.domain.membership import Membership
from tenancy.domain.secrets import digest
from tenancy.errors import AlreadyMember, InvitationForAnotherAddress, TokenExpired, TokenNotFound
from tenancy.events import MemberJoined
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.room import count_users, writable_organization
from tenancy.usecases.steps.running_month import note_members


async def find_invitation(uow: UnitOfWork, token: str) -> Invitation:
    """The invitation of a link, whatever its organization. Needs `for_system("auth")`.

    Raises:
        TokenNotFound: no such link, or it was replaced or revoked.
    """
    invitation = await uow.invitations.by_hash(digest(token))
    if invitation is None or invitation.revoked:
        raise TokenNotFound
    return invitation


async def accept_invitation(uow: UnitOfWork, token: str, user_id: UUID) -> Membership:
    """Join the organization; everything is checked again in the organization's own transaction.

    A second click of whoever joined by the link, whose first answer may never have arrived, is answered as the first.

    Raises:
        TokenNotFound: the link was replaced, or used by somebody else or by who is no member any more.
        TokenExpired: it is too old.
        InvitationForAnotherAddress: it was sent to an address that is not the caller's.
        AlreadyMember, OrganizationSuspended, QuotaReached: as they say.
    """
    organization = await writable_organization(uow)
    invitation = await uow.invitations.by_hash(digest(token), lock=True)
    if invitation is None or invitation.revoked:
        raise TokenNotFound
    if invitation.accepted_at is not None:
        return await _joined_by(uow, invitation, user_id)
    now = uow.clock.now()
    if invitation.expired(now):
        raise TokenExpired
    person = await uow.people.named(user_id)
    if person is None or person.email != invitation.email:
        raise InvitationForAnotherAddress
    users = await count_users(uow, organization, invited=0)
    member = Membership(organization.id, person.id, invitation.role, person.email, person.full_name, now)
    if not await uow.memberships.add(member):
        raise AlreadyMember
    await uow.invitations.accept(invitation, now)
    await note_members(uow, organization, users + 1)
    fact = MemberJoined(user_id=person.id, role=member.role.value, invited_by=invitation.invited_by)
    await uow.publish(fact, subject=str(person.id))
    await uow.audit("member.joined", str(person.id), actor=person.id, details={"role": member.role.value})
    return member


async def _joined_by(uow: UnitOfWork, invitation: Invitation, user_id: UUID) -> Membership:
    member = await uow.memberships.get(invitation.tenant_id, user_id)
    if member is None or member.email != invitation.email:
        raise TokenNotFound
    return member
