"""A person with an account, and a person's standing as platform staff."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from email_validator import EmailNotValidError, validate_email

from tenancy.domain.roles import StaffRole


class Language(StrEnum):
    """Languages that mails and messages exist in."""

    FR = "fr"
    EN = "en"


DAY = {Language.FR: "%d/%m/%Y", Language.EN: "%Y-%m-%d"}
"""How a day is written in a letter."""


@dataclass(frozen=True, slots=True)
class User:
    """An account. Disabled ones keep their rows and may not sign in."""

    id: UUID
    email: str
    full_name: str
    language: Language
    created_at: datetime
    email_verified_at: datetime | None = None
    disabled_at: datetime | None = None
    staff_roles: frozenset[StaffRole] = frozenset()
    last_tenant_id: UUID | None = None
    staff_dismissed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NamedPerson:
    """A person as an organization knows them."""

    id: UUID
    email: str
    full_name: str
    language: Language
    email_verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves that a person is who they say; the TOTP secret is sealed with a key from the settings."""

    user_id: UUID
    password_hash: str
    totp_sealed: bytes | None = None
    totp_last_step: int | None = None
    totp_pending: bytes | None = None
    password_set_at: datetime | None = None


def normalized_email(address: str) -> str | None:
    """The address by which an account is found: normalized by RFC 6531 and in lower case; None when it is no address.

    Nothing is looked up in DNS: deliverability is shown by the verification mail.
    """
    try:
        checked = validate_email(address.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return checked.normalized.lower()
