"""Sealing of secrets that customers entrust us with."""

from __future__ import annotations

from typing import Protocol


class SecretBox(Protocol):
    """Seals a secret for the database. ``context`` binds it to its row: elsewhere it does not open."""

    def seal(self, secret: str, context: bytes) -> bytes: ...

    def open(self, sealed: bytes, context: bytes) -> str:
        """Raises CredentialsUnreadable: sealed by another key, for another row, or altered."""
        ...
