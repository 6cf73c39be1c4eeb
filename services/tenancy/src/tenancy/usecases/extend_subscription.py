"""A paid renewal or change takes effect: more time, or another plan. Exactly once per order."""

from uuid import UUID

from tenancy.domain.organization import Entitlements, OrderKind
from tenancy.errors import OrganizationNotYetKnown
from tenancy.events import OrgPlanChanged
from tenancy.persistence.unit_of_work import UnitOfWork


async def extend_subscription(
    uow: UnitOfWork, order_id: UUID, kind: OrderKind, bought: Entitlements, *, version: int | None = None
) -> None:
    """Put in force what a renewal or change bought. A second call for the same order does nothing.

    A change that starts later does nothing yet: billing tells of it again when its time has come.

    Args:
        uow: the tenant's transaction.
        order_id: the order that was paid.
        kind: renewal or change.
        bought: what it bought.
        version: of billing's subscription, where a state event tells; one older than the newest known is ignored.

    Raises:
        OrganizationNotYetKnown: it arrived before the order that creates the organization.
    """
    known = await uow.organizations.get(uow.tenant_id, lock=True)
    if known is None:
        raise OrganizationNotYetKnown
    now = uow.clock.now()
    if kind is OrderKind.CHANGE and bought.period_start > now:
        return
    if version is not None and not await uow.organizations.advance_subscription(known.id, version):
        return
    extended = known.granted(bought)
    if not await uow.organizations.apply_order(extended, order_id, kind, now):
        return
    await uow.organizations.save(extended)
    await uow.publish(
        OrgPlanChanged.of(extended, order_id), subject=str(extended.id), aggregate_version=extended.version
    )
