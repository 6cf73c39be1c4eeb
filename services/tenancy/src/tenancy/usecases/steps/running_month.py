"""The figures of a usage month, also where nobody reported or counted anything in it yet."""

from dataclasses import replace
from datetime import datetime

from tenancy.domain.organization import Organization
from tenancy.domain.usage import Usage, UsageMonth
from tenancy.persistence.unit_of_work import UnitOfWork


async def figures_of(uow: UnitOfWork, organization: Organization, moment: datetime) -> Usage:
    """Figures of the month of a moment; in a month without any yet, what stays from the newest one before.

    Servers, machines, storage and users carry over; backups are counted anew each month.
    """
    month = UsageMonth.at(organization.subscription_start.date(), moment)
    stored = await uow.usage.get(organization.id, month)
    if stored is not None:
        return stored
    users = await uow.memberships.count(organization.id)
    before = await uow.usage.newest(organization.id)
    if before is None or before.month.start > month.start:
        return Usage(month, users_count=users)
    return Usage(
        month,
        esxi_servers_count=before.esxi_servers_count,
        vms_count=before.vms_count,
        storage_bytes=before.storage_bytes,
        users_count=users,
    )


async def note_members(uow: UnitOfWork, organization: Organization, users: int) -> None:
    """Write how many members there are now; the caller holds the organization's lock."""
    running = await figures_of(uow, organization, uow.clock.now())
    await uow.usage.save(organization.id, replace(running, users_count=users))
