"""Passkeys (WebAuthn): a key pair in a person's device, which signs only for us and only with its holder there."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

CHALLENGE_LIFETIME = timedelta(minutes=5)
MOST_PASSKEYS = 20
"""Of one person; browsers list all of them to the device."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """What is kept of a passkey: its public half. `sign_count` only grows, where the device counts at all."""

    id: UUID
    user_id: UUID
    credential_id: bytes
    public_key: bytes
    sign_count: int
    name: str
    created_at: datetime
    last_used_at: datetime | None = None
