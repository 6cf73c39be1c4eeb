"""Identifiers. UUIDv7 is made here because PostgreSQL before 18 has no ``uuidv7()`` (RFC 9562 §5.7)."""

from uuid import UUID

import uuid_utils


def uuid7() -> UUID:
    """Return a time-ordered identifier; later ones sort after earlier ones of the same process."""
    return UUID(bytes=uuid_utils.uuid7().bytes)
