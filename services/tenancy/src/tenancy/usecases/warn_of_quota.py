"""Write to the owner that a limit is near, or stopped something: once per usage month, resource and limit."""

from typing import Literal

from tenancy.domain.people import Language
from tenancy.domain.usage import UsageMonth
from tenancy.errors import OrganizationNotYetKnown
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters

NAMES = {
    "esxi_servers": {"fr": "serveurs ESXi", "en": "ESXi servers"},
    "vms": {"fr": "machines virtuelles protégées", "en": "protected virtual machines"},
    "backups": {"fr": "sauvegardes du mois", "en": "backups of the month"},
    "storage": {"fr": "espace de stockage", "en": "storage"},
    "users": {"fr": "utilisateurs", "en": "users"},
}

GB = 10**9


async def warn_of_quota(
    uow: UnitOfWork,
    letters: Letters,
    letter: Literal["quota_nearing", "quota_reached"],
    *,
    resource: str,
    limit: int,
    used: int,
    in_bytes: bool,
) -> None:
    """Queue the mail; a second fact of the same month about the same limit writes nothing.

    Raises:
        OrganizationNotYetKnown: the fact overtook the organization's creation.
    """
    organization = await uow.organizations.get(uow.tenant_id)
    if organization is None:
        raise OrganizationNotYetKnown
    owner = await uow.people.named(organization.owner_user_id)
    if owner is None:
        return
    month = UsageMonth.at(organization.subscription_start.date(), uow.clock.now())
    await uow.send_mail(
        letters.write(
            letter,
            to=owner.email,
            key=f"{letter}:{resource}:{limit}:{month.start}",
            language=owner.language,
            person=owner.full_name,
            organization=organization.name,
            resource=_named(resource, owner.language),
            limit=_figure(limit, owner.language, in_bytes=in_bytes),
            used=_figure(used, owner.language, in_bytes=in_bytes),
        )
    )


def _named(resource: str, language: Language) -> str:
    return NAMES.get(resource, {}).get(language.value, resource)


def _figure(value: int, language: Language, *, in_bytes: bool) -> str:
    if not in_bytes:
        return str(value)
    return f"{value / GB:.1f} Go".replace(".", ",") if language is Language.FR else f"{value / GB:.1f} GB"
