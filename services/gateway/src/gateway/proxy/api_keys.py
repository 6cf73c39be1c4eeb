"""API keys, used as access tokens are: what tenancy says of one, remembered for half a minute at most.

A key never leaves this process: tenancy is asked by its SHA-256. What is no key by its checksum is not asked about.
"""

import hashlib
import re
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import UUID

from gateway.errors import AddressNotAllowed, ApiAccessNotInPlan, ApiKeyInvalid, PersonNeeded, ScopeMissing
from gateway.proxy.access_tokens import Identity
from gateway.proxy.routes import Route
from gateway.proxy.scopes import scopes_of

MARK = "ebm_"
REMEMBERED_KEYS = 20_000
NEVER = 1 << 40
"""Expiry of a key that has none, in seconds since the epoch."""

CHECKSUM_LENGTH = 6
_FORM = re.compile(rf"{MARK}([0-9A-Za-z]{{43}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})")
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

AskTenancy = Callable[[str], Awaitable[Mapping[str, Any] | None]]
"""Asks for the key with this SHA-256; None when there is none that can be used."""


def is_key(token: str) -> bool:
    """Whether a bearer token claims to be a key."""
    return token.startswith(MARK)


def well_formed(key: str) -> bool:
    """Whether its checksum is right."""
    found = _FORM.fullmatch(key)
    return found is not None and checksum(found[1]) == found[2]


def checksum(text: str) -> str:
    """The end of a key with this text: CRC-32 in base 62."""
    rest, letters = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM_LENGTH):
        rest, letter = divmod(rest, len(ALPHABET))
        letters = ALPHABET[letter] + letters
    return letters


class ApiKeys:
    """Resolves keys.

    Args:
        ask: asks tenancy.
        lifetime_seconds: how long an answer is used.
        now: seconds of a clock that never goes back.
    """

    def __init__(self, ask: AskTenancy, lifetime_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._lifetime = lifetime_seconds
        self._now = now
        self._found: OrderedDict[str, tuple[Mapping[str, Any], float]] = OrderedDict()

    async def identify(self, key: str, route: Route, method: str, address: str) -> Identity:
        """Whom a key speaks for: itself, in its organization.

        Raises:
            ApiKeyInvalid: there is none, or it was revoked or has expired.
            AddressNotAllowed: it may not be used from there.
            ScopeMissing: it does not open this route.
            ApiAccessNotInPlan: the organization's plan has no API access now.
            ServiceUnavailable: tenancy does not answer.
        """
        if not well_formed(key):
            raise ApiKeyInvalid
        return await self.identify_digest(
            hashlib.sha256(key.encode()).hexdigest(), route, method, address, fresh=route.fresh
        )

    async def identify_digest(self, digest: str, route: Route, method: str, address: str, *, fresh: bool) -> Identity:
        """As `identify`, by the key's SHA-256; `fresh` asks tenancy whatever is remembered."""
        found = await self._resolved(digest, fresh=fresh)
        expires_at = datetime.fromisoformat(found["expires_at"]) if found["expires_at"] else None
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise ApiKeyInvalid
        if found["allowed_networks"] and not _within(address, found["allowed_networks"]):
            raise AddressNotAllowed(address=address)
        if not found["has_api_access"]:
            raise ApiAccessNotInPlan
        wanted = scopes_of(route.path, method)
        if wanted.isdisjoint(found["scopes"]):
            raise ScopeMissing(scope=min(wanted)) if wanted else PersonNeeded(scope="")
        key_id = UUID(found["id"])
        return Identity(
            user_id=key_id,
            session_id=None,
            tenant_id=UUID(found["tenant_id"]),
            roles=frozenset(found["roles"]),
            staff_roles=frozenset(),
            expires_at=int(expires_at.timestamp()) if expires_at else NEVER,
            key_id=key_id,
            key_digest=digest,
        )

    def forget(self) -> None:
        """Ask again for every key."""
        self._found.clear()

    async def _resolved(self, digest: str, *, fresh: bool) -> Mapping[str, Any]:
        known = self._found.get(digest)
        if known is not None and not fresh and self._now() < known[1]:
            return known[0]
        asked_at = self._now()
        found = await self._ask(digest)
        if found is None:
            self._found.pop(digest, None)
            raise ApiKeyInvalid
        self._found[digest] = (found, asked_at + self._lifetime)
        if len(self._found) > REMEMBERED_KEYS:
            self._found.popitem(last=False)
        return found


def _within(address: str, networks: list[str]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in ip_network(network) for network in networks)
