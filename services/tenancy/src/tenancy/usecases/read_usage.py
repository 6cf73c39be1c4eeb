"""The running usage month of an organization beside its limits."""

from tenancy.domain.organization import Organization
from tenancy.domain.usage import Usage
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.running_month import figures_of


async def read_usage(uow: UnitOfWork, organization: Organization) -> Usage:
    """Figures of the current month, see `figures_of`."""
    return await figures_of(uow, organization, uow.clock.now())
