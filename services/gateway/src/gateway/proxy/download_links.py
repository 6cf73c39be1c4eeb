"""What a download link says, sealed so that only the gateway can make or read it (ADR 0011).

A link is AES-256-GCM under a key that is derived from the gateway's signing key, so every replica opens what another
sealed and nothing is stored. It is no JWT: it has no algorithm to choose, cannot pass as an access or internal token,
nor can one of those pass as a link. Which of the two kinds it is, is authenticated with it.
"""

import base64
import binascii
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import DownloadLinkOver

PURPOSE = b"gateway download links 1"
"""Sets the derived key apart from every other use of the signing key (RFC 5869 §3.2)."""

NONCE_BYTES = 12
LONGEST_TOKEN = 2048


class Kind(Enum):
    """What a link is good for."""

    START = "s"
    """To begin: it finds out which state of the object is downloaded, and leads to a link of the other kind."""
    FOLLOW = "f"
    """To read that very state, whole or in ranges, as often as it takes."""

    @property
    def mark(self) -> bytes:
        """What is authenticated with the link."""
        return self.value.encode()

    @property
    def lifetime(self) -> timedelta:
        return timedelta(seconds=60) if self is Kind.START else timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may GET what, until when.

    Attributes:
        target: the download's path.
        user_id: the person, or the API key in a person's place.
        tenant_id: the organization that was active when the link was made; None for none.
        session_id: of the person.
        key_digest: SHA-256 of the API key, by which tenancy is asked for it.
        etag: the state of the object; None where the service names none, and before the download has begun.
        expires_at: seconds since the epoch.
    """

    target: str
    user_id: UUID
    tenant_id: UUID | None
    session_id: UUID | None = None
    key_digest: str | None = None
    etag: str | None = None
    expires_at: int = 0


class DownloadLinks:
    """Seals and opens links.

    Args:
        private_jwk: the gateway's signing key; with another one all links end.
        now: seconds since the epoch.
    """

    def __init__(self, private_jwk: Mapping[str, Any], now: Callable[[], float] = time.time) -> None:
        secret = _bytes(private_jwk["d"])
        self._cipher = AESGCM(HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret))
        self._now = now

    def expiry(self, kind: Kind) -> int:
        """When a link that is made now ends, in seconds since the epoch."""
        return int(self._now() + kind.lifetime.total_seconds())

    def seal(self, kind: Kind, grant: Grant) -> str:
        """The link's token, in letters that may stand in a path."""
        nonce = os.urandom(NONCE_BYTES)
        said = [
            grant.target,
            str(grant.user_id),
            str(grant.tenant_id or ""),
            str(grant.session_id or ""),
            grant.key_digest,
            grant.etag,
            grant.expires_at,
        ]
        sealed = nonce + self._cipher.encrypt(nonce, json.dumps(said).encode(), kind.mark)
        return kind.value + base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, token: str) -> tuple[Kind, Grant]:
        """What a link says.

        Raises:
            DownloadLinkOver: it is not ours, was altered, or its time is over.
        """
        try:
            kind = Kind(token[:1])
            sealed = _bytes(token[1:]) if len(token) <= LONGEST_TOKEN else b""
            said = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], kind.mark)
        except (InvalidTag, ValueError):
            raise DownloadLinkOver from None
        target, user_id, tenant_id, session_id, key_digest, etag, expires_at = json.loads(said)
        if self._now() >= expires_at:
            raise DownloadLinkOver
        return kind, Grant(target, UUID(user_id), _uuid(tenant_id), _uuid(session_id), key_digest, etag, expires_at)


def _bytes(text: str) -> bytes:
    """Decode base64 for addresses (RFC 4648 §5) without padding; binascii's errors are ValueErrors."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _uuid(text: str) -> UUID | None:
    return UUID(text) if text else None
