"""The states of a vault."""

from __future__ import annotations

from enum import StrEnum


class VaultState(StrEnum):
    PREPARING = "preparing"
    READY = "ready"
    READ_ONLY = "read_only"
    """The database is older than the store: restores go on, nothing is written or deleted until it is rebuilt."""
