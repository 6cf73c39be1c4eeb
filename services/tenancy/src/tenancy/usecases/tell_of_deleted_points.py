"""Write to the owner and the admins that restore points were deleted, and until when they can be brought back."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tenancy.domain.people import DAY
from tenancy.domain.roles import Role
from tenancy.errors import OrganizationNotYetKnown
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters

TOLD = (Role.OWNER, Role.ADMIN)


async def tell_of_deleted_points(
    uow: UnitOfWork, letters: Letters, point_ids: Sequence[UUID], *, deleted_by: UUID, undo_until: datetime
) -> None:
    """Queue a mail to each, once however often the fact arrives; also to the one who deleted.

    Args:
        uow: the organization's transaction.
        letters: writes the mails.
        point_ids: what was deleted; the first names the mail.
        deleted_by: a member, or an API key, which has no name here.
        undo_until: when they go for good.

    Raises:
        OrganizationNotYetKnown: the fact overtook the organization's creation.
    """
    organization = await uow.organizations.get(uow.tenant_id)
    if organization is None:
        raise OrganizationNotYetKnown
    who = await uow.memberships.get(uow.tenant_id, deleted_by)
    for member in await uow.memberships.with_roles(uow.tenant_id, TOLD):
        person = await uow.people.named(member.user_id)
        if person is None:
            continue
        await uow.send_mail(
            letters.write(
                "points_deleted",
                to=person.email,
                key=f"points_deleted:{point_ids[0]}:{undo_until.timestamp():.0f}:{member.user_id}",
                language=person.language,
                person=person.full_name,
                organization=organization.name,
                count=len(point_ids),
                who=who.full_name if who else "",
                due=f"{undo_until:{DAY[person.language]}}",
            )
        )
