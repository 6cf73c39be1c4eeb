"""An organization follows its subscription: suspended, expired or cancelled."""

from uuid import UUID

from tenancy.domain.organization import Status
from tenancy.errors import OrganizationNotYetKnown
from tenancy.events import OrganizationState, OrgExpired, OrgSuspended
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.standing_letters import EXPIRED, SUSPENDED, write_to_owner

_FOLLOWS: dict[Status, tuple[type[OrganizationState], str]] = {
    Status.SUSPENDED: (OrgSuspended, SUSPENDED),
    Status.EXPIRED: (OrgExpired, EXPIRED),
    Status.CANCELLED: (OrgExpired, EXPIRED),
}


async def change_status(
    uow: UnitOfWork, letters: Letters, status: Status, *, order_id: UUID, version: int, disputed: bool = False
) -> None:
    """Move the organization, tell of its whole state and write to its owner. A second call does nothing.

    Args:
        uow: the tenant's transaction.
        letters: writes to the owner.
        status: suspended, expired or cancelled.
        order_id: the subscription's last order.
        version: of billing's subscription; one older than the newest known is ignored.
        disputed: a dispute about a payment suspends it, so the letter does not ask for another payment.

    Raises:
        OrganizationNotYetKnown: it arrived before the order that creates the organization.
    """
    known = await uow.organizations.get(uow.tenant_id, lock=True)
    if known is None:
        raise OrganizationNotYetKnown
    if not await uow.organizations.advance_subscription(known.id, version):
        return
    moved = known.moved(status)
    if moved == known:
        return
    await uow.organizations.save(moved)
    fact, letter = _FOLLOWS[status]
    await uow.publish(fact.of(moved, order_id), subject=str(moved.id), aggregate_version=moved.version)
    await write_to_owner(uow, letters, letter, moved, disputed=disputed)
