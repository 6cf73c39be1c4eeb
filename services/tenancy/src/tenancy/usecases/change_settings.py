"""Change who the organization is on paper and whom to reach."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from tenancy.domain.particulars import Particulars
from tenancy.domain.people import normalized_email
from tenancy.errors import InvalidEmail
from tenancy.events import OrgParticularsChanged, OrgUpdated
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.usecases.steps.room import writable_organization

ADDRESSES = ("email", "technical_email")


async def change_settings(uow: UnitOfWork, changes: Mapping[str, Any], *, actor: UUID) -> Particulars:
    """Change what is named and leave the rest; what is as it was is not told of.

    Raises:
        InvalidEmail, OrganizationSuspended: as they say.
    """
    organization = await writable_organization(uow)
    known = await uow.organizations.particulars(organization.id)
    wanted = replace(known, **_checked(changes))
    changed = {name: value for name, value in asdict(wanted).items() if value != getattr(known, name)}
    if not changed:
        return known
    await uow.organizations.set_particulars(organization.id, wanted)
    current = replace(organization, name=wanted.name, email=wanted.email, version=organization.version + 1)
    await uow.organizations.save(current)
    await uow.publish(
        OrgUpdated.of(current, current.source_order_id), subject=str(current.id), aggregate_version=current.version
    )
    told = OrgParticularsChanged.of(wanted)
    if told != OrgParticularsChanged.of(known):
        await uow.publish(told, subject=str(current.id), aggregate_version=current.version)
    before = {name: getattr(known, name) for name in changed}
    await uow.audit("organization.settings_changed", str(current.id), actor=actor, before=before, after=changed)
    return wanted


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    checked = dict(changes)
    for name in ADDRESSES:
        if checked.get(name) is not None:
            checked[name] = normalized_email(checked[name])
            if checked[name] is None:
                raise InvalidEmail
    return checked
