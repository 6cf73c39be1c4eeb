"""Keys with which programs act for an organization: their form, what they may do, from where and until when.

A key is `ebm_`, 43 characters from 32 random bytes and 6 of a checksum, all of 0-9, A-Z and a-z. The checksum lets
anybody tell a mistyped or invented key without asking, and lets scanners of leaked secrets be sure of what they found.
"""

import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_network
from uuid import UUID

from tenancy.domain.roles import Role

MARK = "ebm_"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 43
CHECKSUM_LENGTH = 6
SHOWN_LENGTH = len(MARK) + 8
"""What lists show of a key, to tell it from others: 47 bits of 256."""

MOST_KEYS = 50
"""Usable keys of one organization at a time."""

LONGEST_LIFE = timedelta(days=366)

USED_NOTED = timedelta(minutes=1)
"""How exactly the last use is known; more often would write a row at each request."""


class Scope(StrEnum):
    """What a key may do, by area; to write is to read as well."""

    ORGANIZATION_READ = "organization:read"
    BILLING_READ = "billing:read"
    INFRASTRUCTURE_READ = "infrastructure:read"
    INFRASTRUCTURE_WRITE = "infrastructure:write"
    BACKUPS_READ = "backups:read"
    BACKUPS_WRITE = "backups:write"
    RESTORES_READ = "restores:read"
    RESTORES_WRITE = "restores:write"


def new_key() -> str:
    """A fresh key; it is shown once and never stored."""
    text = _in_alphabet(int.from_bytes(secrets.token_bytes(32)), RANDOM_LENGTH)
    return f"{MARK}{text}{checksum(text)}"


def checksum(text: str) -> str:
    """CRC-32 of the random part, in the same alphabet."""
    return _in_alphabet(zlib.crc32(text.encode()), CHECKSUM_LENGTH)


def well_formed(key: str) -> bool:
    """Whether it can be a key at all; says nothing about whether there is one."""
    text = key[len(MARK) : -CHECKSUM_LENGTH]
    return (
        key.startswith(MARK)
        and len(text) == RANDOM_LENGTH
        and all(letter in ALPHABET for letter in text)
        and key[-CHECKSUM_LENGTH:] == checksum(text)
    )


def _in_alphabet(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[digit])
    return "".join(reversed(letters))


def normalized_networks(networks: Sequence[str]) -> list[str]:
    """Addresses and networks in their usual spelling, each once.

    Raises:
        ValueError: one is neither.
    """
    return sorted({str(ip_network(network.strip(), strict=False)) for network in networks})


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. It acts under its own id, with its own role, and never as the person who made it."""

    id: UUID
    tenant_id: UUID
    name: str
    prefix: str
    role: Role
    scopes: tuple[Scope, ...]
    allowed_networks: tuple[str, ...]
    created_by: UUID
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def usable(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
