"""Delete the organization: tell everybody, end every way in, and let the eraser take the rows."""

from tenancy.domain.organization import Status
from tenancy.errors import OrganizationNotYetKnown
from tenancy.events import ApiKeyRevoked, MemberRemoved, OrgDeleted
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.standing_letters import DELETED, write_to_owner

ASKED_FOR = "asked_for"


async def delete_organization(uow: UnitOfWork, letters: Letters, *, reason: str) -> bool:
    """Delete it for good; False where that is done, or was called off in the last moment.

    Args:
        uow: the tenant's transaction.
        letters: writes to the owner.
        reason: `asked_for` by an owner, whose date is looked at again; any other is billing's.

    Raises:
        OrganizationNotYetKnown: it arrived before the order that creates the organization.
    """
    known = await uow.organizations.get(uow.tenant_id, lock=True)
    if known is None:
        raise OrganizationNotYetKnown
    deleted = known.moved(Status.DELETED)
    if deleted == known:
        return False
    due = await uow.organizations.deletion_due_at(known.id)
    if reason == ASKED_FOR and (due is None or due > uow.clock.now()):
        return False
    await uow.organizations.save(deleted)
    await uow.organizations.set_deletion(known.id, None)
    await write_to_owner(uow, letters, DELETED, known)
    await _close(uow)
    fact = OrgDeleted(id=known.id, reason=reason)
    await uow.publish(fact, subject=str(known.id), aggregate_version=deleted.version)
    await uow.audit("organization.deleted", str(known.id), actor="tenancy", reason=reason)
    await uow.request_erasure()
    return True


async def delete_unpaid_organization(uow: UnitOfWork, letters: Letters, *, version: int) -> bool:
    """Delete it because billing says that its time is over, unless it was paid for meanwhile.

    Raises:
        OrganizationNotYetKnown: it arrived before the order that creates the organization.
    """
    known = await uow.organizations.get(uow.tenant_id, lock=True)
    if known is None:
        raise OrganizationNotYetKnown
    if known.writable or not await uow.organizations.advance_subscription(known.id, version):
        return False
    return await delete_organization(uow, letters, reason="unpaid")


async def _close(uow: UnitOfWork) -> None:
    """End every membership and key at once; the rows that are left are the eraser's."""
    for member in await uow.memberships.of_tenant(uow.tenant_id, after=None, limit=None):
        await uow.memberships.remove(member)
        fact = MemberRemoved(user_id=member.user_id, removed_by=member.user_id)
        await uow.publish(fact, subject=str(member.user_id))
        for key in await uow.api_keys.made_by(uow.tenant_id, member.user_id):
            await uow.publish(ApiKeyRevoked(key_id=key.id), subject=str(key.id))
            await uow.api_keys.revoke(key, uow.clock.now())
