"""That somebody owns the organization, and that everybody knows who."""

from dataclasses import replace
from uuid import UUID

from tenancy.domain.membership import Membership
from tenancy.domain.organization import Organization
from tenancy.errors import LastOwner
from tenancy.events import OrgUpdated
from tenancy.persistence.unit_of_work import UnitOfWork


async def keep_an_owner(uow: UnitOfWork, organization: Organization, *, without: Membership) -> Organization:
    """Make sure that an owner is left without this one; if he is the one it goes by, the next one becomes that.

    Raises:
        LastOwner: there is no other.
    """
    others = [owner for owner in await uow.memberships.owners(organization.id) if owner.user_id != without.user_id]
    if not others:
        raise LastOwner
    if organization.owner_user_id != without.user_id:
        return organization
    handed = replace(organization, owner_user_id=others[0].user_id, version=organization.version + 1)
    await tell_of_owner(uow, organization, handed, without.user_id)
    return handed


async def tell_of_owner(uow: UnitOfWork, before: Organization, after: Organization, actor: UUID) -> None:
    """Store and tell who the owner is now."""
    await uow.organizations.save(after)
    await uow.publish(
        OrgUpdated.of(after, after.source_order_id), subject=str(after.id), aggregate_version=after.version
    )
    await uow.audit(
        "organization.owner_changed",
        str(after.id),
        actor=actor,
        before={"owner": str(before.owner_user_id)},
        after={"owner": str(after.owner_user_id)},
    )
