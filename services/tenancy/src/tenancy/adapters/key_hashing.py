"""What is kept of API keys: an HMAC, so that a copy of the database lets nobody test a key."""

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class HmacKeyHasher:
    """HMAC-SHA-256 over the key's SHA-256; its key is derived from the settings' secret.

    Over the digest and not the key, so that the gateway can ask by it and the key itself stays at the door.
    """

    def __init__(self, secret_key: str) -> None:
        self._key = HKDF(SHA256(), 32, salt=None, info=b"tenancy api keys v1").derive(secret_key.encode())

    def of_key(self, key: str) -> bytes:
        """What is stored of a key."""
        return self.of_digest(hashlib.sha256(key.encode()).digest())

    def of_digest(self, digest: bytes) -> bytes:
        """The same from the key's SHA-256."""
        return hmac.digest(self._key, digest, "sha256")
