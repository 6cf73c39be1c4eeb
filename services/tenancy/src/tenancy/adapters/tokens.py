"""Access tokens (RFC 9068) signed with EdDSA, and the key set that lets others verify them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from common.clock import Clock
from common.ids import uuid7
from joserfc import jwt
from joserfc.jwk import OKPKey

from tenancy.domain.impersonation import ROLE, Impersonation
from tenancy.domain.membership import Membership
from tenancy.domain.people import User
from tenancy.domain.signing_keys import SigningKey, published, signer
from tenancy.usecases.rotate_signing_key import key_of_settings


class EdDsaAccessTokens:
    """Signs with the newest key whose time has come, and publishes those that tokens may be signed by.

    Args:
        private_keys: JSON list of private JWKs of type OKP with a `kid` each: the keys until one is made by command.
        issuer: `iss` of every token.
        audience: `aud` of every token.
        lifetime: how long a token is valid.
        clock: where `iat` and `exp` come from.

    Raises:
        ValueError: the list is empty or a key is no Ed25519 key with a `kid`.
    """

    algorithm = "EdDSA"

    def __init__(self, private_keys: str, *, issuer: str, audience: str, lifetime: timedelta, clock: Clock) -> None:
        given = [OKPKey.import_key(key) for key in json.loads(private_keys)]
        if not given or not all(key.kid and key.curve_name == "Ed25519" for key in given):
            raise ValueError("token_private_keys: at least one Ed25519 key, each with a kid")
        self._given = [key_of_settings(key.as_dict(private=True), place) for place, key in enumerate(given)]
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime
        self._clock = clock
        self.use(())

    def use(self, made: Sequence[SigningKey]) -> None:
        """Take over the keys that were made by command; those of the settings are older than all of them."""
        self._keys = [*self._given, *made]
        self._opened = {key.kid: OKPKey.import_key(dict(key.jwk)) for key in self._keys}

    @property
    def lifetime(self) -> timedelta:
        return self._lifetime

    def sign(self, user: User, session_id: UUID, active: Membership | None) -> str:
        """A token for one person in one session, with at most one organization and the role there."""
        claims: dict[str, Any] = {
            "sub": str(user.id),
            "sid": str(session_id),
            "roles": [active.role.value] if active else [],
            "staff": sorted(user.staff_roles),
        }
        if active:
            claims["tenant"] = str(active.tenant_id)
        return self._signed(claims, self._clock.now() + self._lifetime)

    def sign_impersonation(self, impersonation: Impersonation) -> str:
        """A token that reads in somebody's name, says who does (`act`, RFC 8693 §4.1), and ends with it."""
        claims = {
            "sub": str(impersonation.user_id),
            "act": {"sub": str(impersonation.staff_user_id)},
            "sid": str(impersonation.id),
            "tenant": str(impersonation.tenant_id),
            "roles": [ROLE.value],
            "staff": [],
        }
        return self._signed(claims, min(impersonation.expires_at, self._clock.now() + self._lifetime))

    def _signed(self, about: dict[str, Any], expires_at: datetime) -> str:
        now = int(self._clock.now().timestamp())
        claims = about | {
            "iss": self._issuer,
            "aud": self._audience,
            "jti": str(uuid7()),
            "iat": now,
            "nbf": now,
            "exp": int(expires_at.timestamp()),
        }
        key = signer(self._keys, self._clock.now())
        header = {"alg": self.algorithm, "typ": "at+jwt", "kid": key.kid}
        return jwt.encode(header, claims, self._opened[key.kid], algorithms=[self.algorithm])

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys, each for signatures with EdDSA only."""
        return {
            "keys": [
                {**self._opened[key.kid].as_dict(private=False), "use": "sig", "alg": self.algorithm, "kid": key.kid}
                for key in published(self._keys, self._clock.now(), self._lifetime)
            ]
        }
