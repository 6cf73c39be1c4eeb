"""Access tokens as tenancy signs them, and tenancy's key set.

Only EdDSA is accepted, only keys that tenancy publishes now, and nothing that a header says about keys but their id.
"""

import asyncio
import base64
import binascii
import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from gateway.errors import ServiceUnavailable, TokenInvalid

log = logging.getLogger(__name__)

ALGORITHM = "EdDSA"
LEEWAY_SECONDS = 5
"""How far tenancy's clock may run ahead."""

REMEMBERED_SECONDS = 60.0
"""How long a verified token is not verified again: well below its ten minutes; that it has not expired and that its
key is still published is checked each time."""

REMEMBERED_TOKENS = 20_000
ASK_AGAIN_SECONDS = 1.0
"""Pause between two questions for a key set, so that forged key ids cannot make us a nuisance."""

STALE_SECONDS = 3600.0
"""How long the known key set is used while tenancy cannot be reached."""

LONGEST_TOKEN = 4096

FetchKeySet = Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an access token or an API key speaks for; a key takes the place of a person."""

    user_id: UUID
    session_id: UUID | None
    tenant_id: UUID | None
    roles: frozenset[str]
    staff_roles: frozenset[str]
    expires_at: int
    issued_at: int = 0
    key_id: UUID | None = None
    key_digest: str | None = None
    """SHA-256 of the key, in hexadecimal digits."""
    actor_id: UUID | None = None
    """Who of the platform's staff impersonates the person (RFC 8693's `act`)."""


class KeySet:
    """Tenancy's public keys, asked for again when they are old or a new key id turns up.

    Args:
        fetch: asks tenancy for its JWKS.
        lifetime_seconds: how long an answer is used.
    """

    def __init__(self, fetch: FetchKeySet, lifetime_seconds: float) -> None:
        self._fetch = fetch
        self._lifetime = lifetime_seconds
        self._keys: dict[str, OKPKey] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    async def key(self, kid: str) -> OKPKey | None:
        """The key with this id, or None when tenancy does not publish it.

        Raises:
            ServiceUnavailable: there is no usable key set and tenancy does not answer.
        """
        now = time.monotonic()
        if now - self._asked_at >= ASK_AGAIN_SECONDS:
            wanting = kid not in self._keys or now - self._fetched_at > STALE_SECONDS
            if wanting:
                await self._refresh(asked_before=now)
            elif now - self._fetched_at >= self._lifetime and not self._one_at_a_time.locked():
                # Who finds it old asks; meanwhile the others go on with what is known, however long tenancy takes.
                self._asked_at = now
                async with self._one_at_a_time:
                    await self._ask()
        return self._keys.get(kid)

    async def _refresh(self, asked_before: float) -> None:
        async with self._one_at_a_time:
            if self._asked_at < asked_before:
                await self._ask()

    async def _ask(self) -> None:
        try:
            answer = await self._fetch()
            self._keys = {jwk["kid"]: OKPKey.import_key(dict(jwk)) for jwk in answer["keys"] if _usable(jwk)}
            self._asked_at = self._fetched_at = time.monotonic()
        except (ServiceUnavailable, JoseError, KeyError, TypeError, ValueError) as error:
            log.warning("key set not refreshed: %s", error)
            if time.monotonic() - self._fetched_at > STALE_SECONDS:
                raise ServiceUnavailable(service="tenancy") from error
            self._asked_at = time.monotonic()


def _usable(jwk: Mapping[str, Any]) -> bool:
    return jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519" and isinstance(jwk.get("kid"), str)


class AccessTokens:
    """Verifies access tokens and remembers those verified for a short while, by their hash."""

    def __init__(self, keys: KeySet, *, issuer: str, audience: str, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._now = now
        self._known: OrderedDict[bytes, tuple[Identity, float, str]] = OrderedDict()

    async def verify(self, token: str) -> Identity:
        """Whom the token speaks for.

        Raises:
            TokenInvalid: it is not one of tenancy's, not for us, or not valid now.
            ServiceUnavailable: the keys cannot be had.
        """
        if len(token) > LONGEST_TOKEN:
            raise TokenInvalid
        digest = hashlib.sha256(token.encode("latin-1")).digest()
        now = self._now()
        if known := self._known.get(digest):
            identity, until, kid = known
            # A key that became known to others is withdrawn, and with it whatever it has signed.
            if now < until and now < identity.expires_at and await self._keys.key(kid) is not None:
                return identity
            self._known.pop(digest, None)
        kid = _key_id(token)
        identity = await self._verified(token, kid, now)
        self._known[digest] = (identity, now + REMEMBERED_SECONDS, kid)
        if len(self._known) > REMEMBERED_TOKENS:
            self._known.popitem(last=False)
        return identity

    async def _verified(self, token: str, kid: str, now: float) -> Identity:
        key = await self._keys.key(kid)
        if key is None:
            raise TokenInvalid
        try:
            claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
            fits = (
                claims["iss"] == self._issuer
                and claims["aud"] == self._audience
                and int(claims["nbf"]) - LEEWAY_SECONDS <= now < int(claims["exp"])
            )
            identity = _identity(claims)
        except (JoseError, KeyError, TypeError, ValueError, AttributeError):
            raise TokenInvalid from None
        if not fits:
            raise TokenInvalid
        return identity


def _key_id(token: str) -> str:
    """The key id that a token's header names; the header is not trusted for anything else."""
    encoded = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        kid = header["kid"]
        if header["alg"] != ALGORITHM or not isinstance(kid, str):
            raise TokenInvalid
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise TokenInvalid from None
    return kid


def _identity(claims: Mapping[str, Any]) -> Identity:
    tenant = claims.get("tenant")
    return Identity(
        user_id=UUID(claims["sub"]),
        session_id=UUID(claims["sid"]),
        tenant_id=UUID(tenant) if tenant else None,
        roles=frozenset(map(str, claims["roles"])) if tenant else frozenset(),
        staff_roles=frozenset(map(str, claims["staff"])),
        expires_at=int(claims["exp"]),
        issued_at=int(claims["iat"]),
        actor_id=UUID(claims["act"]["sub"]) if "act" in claims else None,
    )
