"""Take in the figures that backup-engine reports."""

from datetime import datetime

from tenancy.domain.usage import Usage, UsageMonth
from tenancy.errors import OrganizationNotYetKnown
from tenancy.persistence.unit_of_work import UnitOfWork


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
    month = UsageMonth.at(organization.subscription_start.date(), measured_at)
    stored = await uow.usage.get(uow.tenant_id, month)
    if stored is None:
        stored = Usage(month, users_count=await uow.memberships.count(uow.tenant_id))
    await uow.usage.save(uow.tenant_id, stored.reported(figures, measured_at))
