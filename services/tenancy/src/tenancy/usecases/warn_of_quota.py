"""Write to the owner that a limit is near, or stopped something: once per usage month, resource and limit."""

from typing import Literal

from tenancy.domain.limits import Level
from tenancy.errors import OrganizationNotYetKnown
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.limit_letters import write_of_limit


async def warn_of_quota(
    uow: UnitOfWork, letters: Letters, letter: Literal["quota_nearing", "quota_reached"], level: Level
) -> None:
    """Queue the mail; a second fact of the same month about the same limit writes nothing.

    Raises:
        OrganizationNotYetKnown: the fact overtook the organization's creation.
    """
    organization = await uow.organizations.get(uow.tenant_id)
    if organization is None:
        raise OrganizationNotYetKnown
    await write_of_limit(uow, letters, letter, organization, level)
