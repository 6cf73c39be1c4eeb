"""Sealing with AES-256-GCM under a key of the deployment's settings."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backup_engine.errors import CredentialsUnreadable

_VERSION = b"\x01"
_NONCE_BYTES = 12
"""NIST SP 800-38D §8.2.2: 96 random bits; far below 2³² seals under one key."""


class AesSecretBox:
    """SecretBox port. ``key`` is the setting's text; the AES key is derived from it (HKDF-SHA-256)."""

    def __init__(self, key: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"ebm esxi credentials v1").derive(key.encode())
        self._cipher = AESGCM(derived)

    def seal(self, secret: str, context: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret.encode(), _VERSION + context)

    def open(self, sealed: bytes, context: bytes) -> str:
        nonce, sealed_text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed_text, sealed[:1] + context).decode()
        except (InvalidTag, ValueError):
            raise CredentialsUnreadable from None
