"""What tenancy needs and does not own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from common.persistence import MailMessage

from tenancy.domain.impersonation import Impersonation
from tenancy.domain.membership import Membership
from tenancy.domain.passkeys import Passkey
from tenancy.domain.people import Language, User
from tenancy.domain.signing_keys import SigningKey
from tenancy.domain.sso import Asserted, Connection
from tenancy.domain.webhooks import Heard, Message


class Letters(Protocol):
    """Writes the mails of tenancy in the reader's language."""

    def write(self, name: str, *, to: str, key: str, language: Language, **values: object) -> MailMessage: ...


class Sealer(Protocol):
    """Keeps small secrets unreadable for whoever only has the database."""

    def seal(self, secret: str, owner: UUID) -> bytes: ...

    def open(self, sealed: bytes, owner: UUID) -> str: ...


class KeyHasher(Protocol):
    """Makes of an API key what may be stored, from the key or from its SHA-256."""

    def of_key(self, key: str) -> bytes: ...

    def of_digest(self, digest: bytes) -> bytes: ...


class AccessTokens(Protocol):
    """Signs access tokens."""

    def use(self, made: Sequence[SigningKey]) -> None: ...

    @property
    def lifetime(self) -> timedelta: ...

    def sign(self, user: User, session_id: UUID, active: Membership | None) -> str: ...

    def sign_impersonation(self, impersonation: Impersonation) -> str: ...

    def jwks(self) -> dict[str, list[dict[str, Any]]]: ...


class Passwords(Protocol):
    """Hashes passwords, and checks them in the same time whether there is a hash or none."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, stored: str | None) -> tuple[bool, str | None]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What a device says of a passkey that it made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


class PasskeyCeremonies(Protocol):
    """Options for browsers and checks of their answers (WebAuthn); refusals are `PasskeyRefused`."""

    def registration(self, user: User, existing: Sequence[Passkey]) -> tuple[bytes, dict[str, Any]]: ...

    def registered(self, credential: dict[str, Any], challenge: bytes) -> NewPasskey: ...

    def authentication(self) -> tuple[bytes, dict[str, Any]]: ...

    def credential_id(self, credential: dict[str, Any]) -> bytes: ...

    def signed(self, credential: dict[str, Any], challenge: bytes, passkey: Passkey) -> int: ...


class IdentityProviders(Protocol):
    """Speaks OpenID Connect to the providers that organizations name."""

    async def authorization_url(
        self, connection: Connection, *, state: str, nonce: str, verifier: str, redirect_uri: str
    ) -> str: ...

    async def exchange(
        self, connection: Connection, *, code: str, nonce: str, verifier: str, redirect_uri: str
    ) -> Asserted: ...


class DomainRecords(Protocol):
    """Reads TXT records; none where there is no answer."""

    async def txt(self, name: str) -> list[str]: ...


class BreachedPasswords(Protocol):
    """Knows passwords that are in somebody's hands."""

    async def knows(self, password: str) -> bool: ...


class WebhookReceivers(Protocol):
    """Posts messages to customers' servers; how one answers, or that it does not, is returned and never raised."""

    async def post(self, message: Message) -> Heard: ...
