"""A letter to the owner of an organization, whatever it is about."""

from collections.abc import Callable
from typing import Any

from tenancy.domain.organization import Organization
from tenancy.domain.people import Language
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters


async def write_to(
    uow: UnitOfWork,
    letters: Letters,
    letter: str,
    organization: Organization,
    *,
    key: str,
    about: Callable[[Language], dict[str, Any]],
) -> None:
    """Queue a letter in the owner's language; one with the same key is not written again.

    An owner without an account gets none.

    Args:
        uow: the organization's transaction.
        letters: writes it.
        letter: the name of its texts.
        organization: whose owner it is to.
        key: says which letter this is, among all.
        about: what its texts tell besides the owner's and the organization's names, in a language.
    """
    owner = await uow.people.named(organization.owner_user_id)
    if owner is None:
        return
    await uow.send_mail(
        letters.write(
            letter,
            to=owner.email,
            key=key,
            language=owner.language,
            person=owner.full_name,
            organization=organization.name,
            **about(owner.language),
        )
    )
