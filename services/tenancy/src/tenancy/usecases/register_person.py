"""Open an account, without telling whether the address has one."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.people import Credentials, Language, User, normalized_email
from tenancy.errors import InvalidEmail
from tenancy.events import UserRegistered
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Letters
from tenancy.usecases.steps.verification import mail_verification


@dataclass(frozen=True, slots=True)
class Registration:
    """A checked wish for an account; the address is normalized."""

    email: str
    full_name: str
    language: Language


def checked_registration(email: str, full_name: str, language: Language) -> Registration:
    """Check what was submitted, before anything costs time.

    Raises:
        InvalidEmail: it is no address.
    """
    normalized = normalized_email(email)
    if normalized is None:
        raise InvalidEmail
    return Registration(normalized, " ".join(full_name.split()), language)


async def register_person(
    uow: UnitOfWork, letters: Letters, wanted: Registration, password_hash: str, *, link_lifetime: timedelta
) -> UUID:
    """Create the account, or tell the owner of the address that somebody tried.

    Needs `for_system("auth")`. The id that is returned for a known address belongs to nobody: the account's own
    would show that it is older than the request.
    """
    now = uow.clock.now()
    user = User(uuid7(), wanted.email, wanted.full_name, wanted.language, created_at=now)
    if not await uow.users.add(user):
        await _tell_owner(uow, letters, wanted.email)
        return user.id
    await uow.users.add_credentials(Credentials(user.id, password_hash))
    await uow.publish(UserRegistered(user_id=user.id, language=user.language.value), subject=str(user.id))
    await mail_verification(uow, letters, user, link_lifetime)
    return user.id


async def _tell_owner(uow: UnitOfWork, letters: Letters, email: str) -> None:
    owner = await uow.users.by_email(email)
    if owner is None:
        return
    # One such mail a day: registering must not be a way to fill somebody's mailbox.
    key = f"already-registered:{owner.id}:{uow.clock.now():%Y-%m-%d}"
    await uow.send_mail(
        letters.write("already_registered", to=owner.email, key=key, language=owner.language, person=owner.full_name)
    )
