"""A paid renewal or change takes effect: more time, or another plan, and an end of suspension. Once per order."""

from uuid import UUID

from tenancy.domain.organization import Entitlements, OrderKind, Status
from tenancy.errors import OrganizationNotYetKnown
from tenancy.events import OrgPlanChanged, OrgReactivated
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.limit_letters import write_of_limits
from tenancy.usecases.steps.running_month import figures_of
from tenancy.usecases.steps.standing_letters import REACTIVATED, write_to_owner


async def extend_subscription(
    uow: UnitOfWork,
    letters: Letters,
    order_id: UUID,
    kind: OrderKind,
    bought: Entitlements,
    *,
    version: int | None = None,
) -> None:
    """Put in force what a renewal or change bought. A second call for the same order does nothing.

    A change that starts later does nothing yet: billing tells of it again when its time has come. Only the
    subscription itself, whose states have an order, makes a suspended or expired organization active again: a payment
    may be told of after a later suspension. What the platform's staff holds, no payment lets go.

    Args:
        uow: the tenant's transaction.
        letters: writes to the owner of one that is active again, and of limits that other quotas bring near or pass.
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
    is_new = await uow.organizations.apply_order(known.granted(bought), order_id, kind, now)
    extended = known.granted(bought) if is_new else known
    held = await uow.organizations.held_for(known.id) is not None
    current = extended if version is None or held else extended.moved(Status.ACTIVE)
    if current == known:
        return
    await uow.organizations.save(current)
    fact = OrgPlanChanged if current.status is known.status else OrgReactivated
    await uow.publish(fact.of(current, order_id), subject=str(current.id), aggregate_version=current.version)
    if current.entitlements.quotas != known.entitlements.quotas:
        await write_of_limits(uow, letters, current, await figures_of(uow, current, now))
    if fact is OrgReactivated:
        await write_to_owner(uow, letters, REACTIVATED, current)
