"""Letters to the owner about how his organization stands."""

from tenancy.domain.organization import Organization, Status
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters

SUSPENDED = "suspended"
REACTIVATED = "reactivated"
EXPIRED = "expired"


async def write_to_owner(uow: UnitOfWork, letters: Letters, letter: str, organization: Organization) -> None:
    """Write one of the letters, once per version of the organization; an owner without an account gets none."""
    owner = await uow.people.named(organization.owner_user_id)
    if owner is None:
        return
    await uow.send_mail(
        letters.write(
            letter,
            to=owner.email,
            key=f"{letter}:{organization.version}",
            language=owner.language,
            person=owner.full_name,
            organization=organization.name,
            plan=organization.entitlements.plan.capitalize(),
            cancelled=organization.status is Status.CANCELLED,
        )
    )
