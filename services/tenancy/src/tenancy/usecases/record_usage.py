"""Take in the figures that backup-engine reports."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from tenancy.domain.usage import FIGURES, UsageMonth
from tenancy.errors import OrganizationNotYetKnown
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.limit_letters import write_of_limits
from tenancy.usecases.steps.running_month import figures_of


async def record_usage(uow: UnitOfWork, figures: dict[str, int], measured_at: datetime) -> None:
    """Write figures into the usage month in which they were measured; what is known to be newer stays.

    Args:
        uow: the tenant's transaction.
        figures: whole figures by the names of `Usage`; those not named keep their value.
        measured_at: when they were true, by the reporter's clock.

    Raises:
        OrganizationNotYetKnown: the report overtook the organization's creation.
    """
    organization = await uow.organizations.get(uow.tenant_id, lock=True)
    if organization is None:
        raise OrganizationNotYetKnown
    stored = await figures_of(uow, organization, measured_at)
    await uow.usage.save(uow.tenant_id, stored.reported(figures, measured_at))


async def reconcile_usage(
    uow: UnitOfWork, letters: Letters, figures: dict[str, int], measured_at: datetime
) -> Mapping[str, int]:
    """Take in figures that were counted anew, count members anew too, and write to the owner of limits that are near.

    Args:
        uow: the tenant's transaction.
        letters: writes to the owner, once a month about the same limit.
        figures: all of the reporter's.
        measured_at: when they were true.

    Returns:
        By how much the stored figures were wrong, as counted minus stored; those that were right are absent.

    Raises:
        OrganizationNotYetKnown: the report overtook the organization's creation.
    """
    organization = await uow.organizations.get(uow.tenant_id, lock=True)
    if organization is None:
        raise OrganizationNotYetKnown
    now = uow.clock.now()
    stored = await figures_of(uow, organization, measured_at)
    counted = stored.reported(figures, measured_at)
    is_running = stored.month == UsageMonth.at(organization.subscription_start.date(), now)
    if is_running:  # of a month that is over, nobody can count the members any more
        counted = replace(counted, users_count=await uow.memberships.count(organization.id))
    await uow.usage.save(uow.tenant_id, counted)
    if organization.writable:
        running = counted if is_running else await figures_of(uow, organization, now)
        await write_of_limits(uow, letters, organization, running)
    changes = {name: getattr(counted, name) - getattr(stored, name) for name in FIGURES}
    return {name: change for name, change in changes.items() if change}
