"""Opaque tokens (refresh, invitation, e-mail verification): how they are made and what is kept of them."""

import hashlib
import secrets

ENTROPY_BYTES = 32
"""256 bits: a token cannot be guessed, so a plain hash of it is enough at rest."""


def new_token() -> str:
    """A fresh URL-safe token; it is shown once and never stored."""
    return secrets.token_urlsafe(ENTROPY_BYTES)


def digest(token: str) -> bytes:
    """SHA-256 of a token: what the database keeps and looks up by."""
    return hashlib.sha256(token.encode()).digest()
