"""Bodies and answers about passkeys; `options` and `credential` are WebAuthn's own JSON."""

from datetime import datetime
from typing import Any
from uuid import UUID

from common.web import Answer, Body, OneLine
from pydantic import Field


class PasskeyOptionsOut(Answer):
    """What the browser takes: `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`."""

    challenge_id: UUID
    options: dict[str, Any]


class NewPasskeyIn(Body):
    """What the browser made (`credential.toJSON()`), and what its holder calls it."""

    challenge_id: UUID
    name: OneLine = Field(min_length=1, max_length=100)
    credential: dict[str, Any]


class PasskeyNameIn(Body):
    """What its holder calls a passkey."""

    name: OneLine = Field(min_length=1, max_length=100)


class PasskeyLoginIn(Body):
    """What the browser signed (`credential.toJSON()`)."""

    challenge_id: UUID
    credential: dict[str, Any]


class PasskeyOut(Answer):
    """One passkey of the caller."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None


class PasskeysOut(Answer):
    """The caller's passkeys; there is never a second page."""

    results: list[PasskeyOut]
    next: str | None = None
