"""Small secrets sealed with AES-256-GCM; the key is derived from the settings' secret."""

import os
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class AesSealer:
    """Seals a secret for one owner: moved to another person's row, it does not open."""

    def __init__(self, secret_key: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"tenancy totp v1").derive(secret_key.encode())
        self._cipher = AESGCM(derived)

    def seal(self, secret: str, owner: UUID) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), owner.bytes)

    def open(self, sealed: bytes, owner: UUID) -> str:
        """Open what `seal` made; raises cryptography's InvalidTag when key or owner differ."""
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner.bytes).decode()
