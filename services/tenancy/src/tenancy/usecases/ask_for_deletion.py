"""An owner asks that the organization be deleted, or thinks better of it while there is time."""

from datetime import datetime, timedelta
from uuid import UUID

from tenancy.domain.organization import Organization, Status
from tenancy.errors import DeletionNotConfirmed, OrganizationNotFound
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.standing_letters import DELETION_ASKED, DELETION_CALLED_OFF, write_to_owner


async def ask_for_deletion(
    uow: UnitOfWork, letters: Letters, *, confirmation: str, grace: timedelta, actor: UUID
) -> datetime:
    """Let the organization be deleted after the grace; asked again, the first date stays. Returns that date.

    Also where it is suspended: nobody has to pay in order to leave.

    Raises:
        DeletionNotConfirmed: the confirmation is not the organization's slug.
    """
    organization = await _locked(uow)
    if confirmation != organization.slug:
        raise DeletionNotConfirmed(slug=organization.slug)
    known = await uow.organizations.deletion_due_at(organization.id)
    if known is not None:
        return known
    due = uow.clock.now() + grace
    await uow.organizations.set_deletion(organization.id, due)
    await write_to_owner(uow, letters, DELETION_ASKED, organization, due=due)
    await uow.audit("organization.deletion_asked", str(organization.id), actor=actor, after={"due": due.isoformat()})
    return due


async def call_off_deletion(uow: UnitOfWork, letters: Letters, *, actor: UUID) -> None:
    """Keep the organization; where nothing was asked for, nothing changes."""
    organization = await _locked(uow)
    if await uow.organizations.deletion_due_at(organization.id) is None:
        return
    await uow.organizations.set_deletion(organization.id, None)
    await write_to_owner(uow, letters, DELETION_CALLED_OFF, organization)
    await uow.audit("organization.deletion_called_off", str(organization.id), actor=actor)


async def _locked(uow: UnitOfWork) -> Organization:
    organization = await uow.organizations.get(uow.tenant_id, lock=True)
    if organization is None or organization.status is Status.DELETED:
        raise OrganizationNotFound
    return organization
