"""The running usage month of an organization beside its limits."""

from tenancy.domain.organization import Organization
from tenancy.domain.usage import Usage, UsageMonth
from tenancy.persistence.unit_of_work import UnitOfWork


async def read_usage(uow: UnitOfWork, organization: Organization) -> Usage:
    """Figures of the current month; in a month without a report yet, what stays from the month before.

    Servers, machines, storage and users carry over; backups are counted anew each month.
    """
    now = uow.clock.now()
    anchor = organization.subscription_start.date()
    month = UsageMonth.at(anchor, now)
    stored = await uow.usage.get(organization.id, month)
    if stored is not None:
        return stored
    before = await uow.usage.newest(organization.id)
    users = await uow.memberships.count(organization.id)
    if before is None:
        return Usage(month, users_count=users)
    return Usage(
        month,
        esxi_servers_count=before.esxi_servers_count,
        vms_count=before.vms_count,
        storage_bytes=before.storage_bytes,
        users_count=users,
    )
