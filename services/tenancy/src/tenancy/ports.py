"""What use cases need and do not own."""

from typing import Protocol
from uuid import UUID

from common.persistence import MailMessage

from tenancy.domain.membership import Membership
from tenancy.domain.people import Language, User


class Letters(Protocol):
    """Writes the mails of tenancy in the reader's language."""

    def write(self, name: str, *, to: str, key: str, language: Language, **values: object) -> MailMessage: ...


class Sealer(Protocol):
    """Keeps small secrets unreadable for whoever only has the database."""

    def seal(self, secret: str, owner: UUID) -> bytes: ...

    def open(self, sealed: bytes, owner: UUID) -> str: ...


class AccessTokens(Protocol):
    """Signs access tokens."""

    def sign(self, user: User, session_id: UUID, active: Membership | None) -> str: ...
