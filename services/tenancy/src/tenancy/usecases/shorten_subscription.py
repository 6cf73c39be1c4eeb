"""Money for a paid period went back: what the organization has paid for ends earlier."""

from datetime import datetime
from uuid import UUID

from tenancy.errors import OrganizationNotYetKnown
from tenancy.events import OrgPlanChanged
from tenancy.persistence.unit_of_work import UnitOfWork


async def shorten_subscription(uow: UnitOfWork, ends_at: datetime, *, order_id: UUID, version: int) -> None:
    """Let the period in force end earlier and tell of the whole state. A second call does nothing.

    Args:
        uow: the tenant's transaction.
        ends_at: until when it is paid.
        order_id: the subscription's last order.
        version: of billing's subscription; one older than the newest known is ignored.

    Raises:
        OrganizationNotYetKnown: it arrived before the order that creates the organization.
    """
    known = await uow.organizations.get(uow.tenant_id, lock=True)
    if known is None:
        raise OrganizationNotYetKnown
    if not await uow.organizations.advance_subscription(known.id, version):
        return
    shortened = known.shortened(ends_at)
    if shortened == known:
        return
    await uow.organizations.save(shortened)
    fact = OrgPlanChanged.of(shortened, order_id)
    await uow.publish(fact, subject=str(known.id), aggregate_version=shortened.version)
