"""Access tokens (RFC 9068) signed with EdDSA, and the key set that lets others verify them."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.clock import Clock
from common.ids import uuid7
from joserfc import jwt
from joserfc.jwk import OKPKey

from tenancy.domain.membership import Membership
from tenancy.domain.people import User


class EdDsaAccessTokens:
    """Signs with the first private key and publishes the public half of all.

    Args:
        private_keys: JSON list of private JWKs of type OKP with a `kid` each.
        issuer: `iss` of every token.
        audience: `aud` of every token.
        lifetime: how long a token is valid.
        clock: where `iat` and `exp` come from.

    Raises:
        ValueError: the list is empty or a key is no Ed25519 key with a `kid`.
    """

    algorithm = "EdDSA"

    def __init__(self, private_keys: str, *, issuer: str, audience: str, lifetime: timedelta, clock: Clock) -> None:
        self._keys = [OKPKey.import_key(key) for key in json.loads(private_keys)]
        if not self._keys or not all(key.kid and key.curve_name == "Ed25519" for key in self._keys):
            raise ValueError("token_private_keys: at least one Ed25519 key, each with a kid")
        self._issuer = issuer
        self._audience = audience
        self._lifetime = lifetime
        self._clock = clock

    @property
    def lifetime(self) -> timedelta:
        return self._lifetime

    def sign(self, user: User, session_id: UUID, active: Membership | None) -> str:
        """A token for one person in one session, with at most one organization and the role there."""
        now = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user.id),
            "sid": str(session_id),
            "jti": str(uuid7()),
            "iat": now,
            "nbf": now,
            "exp": now + int(self._lifetime.total_seconds()),
            "roles": [active.role.value] if active else [],
            "staff": sorted(user.staff_roles),
        }
        if active:
            claims["tenant"] = str(active.tenant_id)
        header = {"alg": self.algorithm, "typ": "at+jwt", "kid": self._keys[0].kid}
        return jwt.encode(header, claims, self._keys[0], algorithms=[self.algorithm])

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys, each for signatures with EdDSA only."""
        return {
            "keys": [
                {**key.as_dict(private=False), "use": "sig", "alg": self.algorithm, "kid": key.kid}
                for key in self._keys
            ]
        }
