"""Whether an organization may change, and whether its plan has room; read under the organization's lock.

The lock makes counting and adding one act: two invitations accepted at once cannot share the last place.
"""

from tenancy.domain.organization import Organization
from tenancy.errors import OrganizationHeld, OrganizationNotFound, OrganizationSuspended, QuotaReached
from tenancy.persistence.unit_of_work import UnitOfWork


async def writable_organization(uow: UnitOfWork) -> Organization:
    """The transaction's organization, locked, if its members may change things.

    Raises:
        OrganizationNotFound: there is none.
        OrganizationSuspended, OrganizationHeld: its status allows reading and paying only.
    """
    organization = await uow.organizations.get(uow.tenant_id, lock=True)
    if organization is None:
        raise OrganizationNotFound
    if not organization.writable:
        is_held = await uow.organizations.held_for(organization.id) is not None
        raise (OrganizationHeld if is_held else OrganizationSuspended)(status=organization.status.value)
    return organization


async def count_users(uow: UnitOfWork, organization: Organization, *, invited: int) -> int:
    """Return how many members there are, if one more fits into the plan beside those `invited`.

    Raises:
        QuotaReached: none does.
    """
    users = await uow.memberships.count(organization.id)
    limit = organization.entitlements.quotas.get("max_users")
    if limit is not None and users + invited >= limit:
        raise QuotaReached(resource="users", limit=limit, current=users + invited)
    return users
