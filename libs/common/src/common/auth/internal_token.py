"""The token that the gateway mints for each request, and that each service demands.

EdDSA (RFC 8037), at most 60 s old, for one service, bound to method, path with query and content length, so that
a captured one opens nothing else. Two public keys may be accepted at a time, for a rotation.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import JWSRegistry

from common.auth.errors import InvalidInternalToken

ISSUER = "gateway"
LIFETIME_SECONDS = 60
CLOCK_SKEW_SECONDS = 5
"""How far the gateway's clock may run ahead of a service's."""

CHUNKED = "chunked"

# RFC 9864 renames EdDSA over Ed25519 to «Ed25519» and joserfc warns at each use. The algorithm is the same, and
# the older name (RFC 8037) is the one that verifiers of today know.
JWSRegistry.algorithms["EdDSA"].security_warning = None


@dataclass(frozen=True, slots=True)
class RequestBinding:
    """The request that a token is for. ``length`` is the content length in bytes, or `CHUNKED`."""

    method: str
    path: str
    length: str

    @classmethod
    def of(cls, method: str, path: str, query: str, headers: Mapping[str, str]) -> "RequestBinding":
        """Return the binding of a request as it is on the wire."""
        length = (
            CHUNKED if "chunked" in headers.get("transfer-encoding", "").lower() else headers.get("content-length", "0")
        )
        return cls(method.upper(), f"{path}?{query}" if query else path, length)


@dataclass(frozen=True, slots=True)
class Claims:
    """What the gateway vouches for."""

    user_id: UUID | None
    tenant_id: UUID | None
    roles: frozenset[str] = field(default_factory=frozenset)
    staff_roles: frozenset[str] = field(default_factory=frozenset)
    session_id: UUID | None = None
    request_id: str = ""
    actor_id: UUID | None = None
    """Who really asks, where a member of the platform's staff impersonates `user_id` (RFC 8693 §4.1)."""


class InternalTokenSigner:
    """Mints tokens with the gateway's private key.

    Args:
        private_jwk: OKP Ed25519 private key with its ``kid``.
    """

    def __init__(self, private_jwk: Mapping[str, Any]) -> None:
        self._key = OKPKey.import_key(dict(private_jwk))
        self._header = {"alg": "EdDSA", "kid": self._key.kid}

    def sign(self, audience: str, claims: Claims, binding: RequestBinding, *, now: float | None = None) -> str:
        """Return a token for one request to the service ``audience``."""
        issued = int(time.time() if now is None else now)
        payload: dict[str, Any] = {
            "iss": ISSUER,
            "aud": audience,
            "iat": issued,
            "exp": issued + LIFETIME_SECONDS,
            "sub": str(claims.user_id) if claims.user_id else "",
            "tenant": str(claims.tenant_id) if claims.tenant_id else "",
            "roles": sorted(claims.roles),
            "staff": sorted(claims.staff_roles),
            "sid": str(claims.session_id) if claims.session_id else "",
            "rid": claims.request_id,
            "mth": binding.method,
            "pth": binding.path,
            "len": binding.length,
        }
        if claims.actor_id is not None:
            payload["act"] = {"sub": str(claims.actor_id)}
        return jwt.encode(self._header, payload, self._key, algorithms=["EdDSA"])


class InternalTokenVerifier:
    """Checks tokens against the gateway's public keys.

    Args:
        public_jwks: One key, or two during a rotation.
        audience: This service's name.
    """

    def __init__(self, public_jwks: Iterable[Mapping[str, Any]], audience: str) -> None:
        self._keys = KeySet([OKPKey.import_key(dict(jwk)) for jwk in public_jwks])
        self._audience = audience

    def verify(
        self, token: str, binding: RequestBinding, tenant_header: str | None, *, now: float | None = None
    ) -> Claims:
        """Return what the token says.

        Raises:
            InvalidInternalToken: It is not the gateway's, not for this service or this request, too old, or
                names another tenant than the tenant header.
        """
        try:
            claims = jwt.decode(token, self._keys, algorithms=["EdDSA"]).claims
        except (JoseError, ValueError, KeyError, TypeError):
            raise InvalidInternalToken from None
        moment = time.time() if now is None else now
        fits = (
            claims.get("iss") == ISSUER
            and claims.get("aud") == self._audience
            and isinstance(claims.get("iat"), int)
            and isinstance(claims.get("exp"), int)
            and claims["exp"] - claims["iat"] <= LIFETIME_SECONDS
            and claims["iat"] - CLOCK_SKEW_SECONDS <= moment < claims["exp"]
            and RequestBinding(claims.get("mth", ""), claims.get("pth", ""), claims.get("len", "")) == binding
            and claims.get("tenant", "") == (tenant_header or "")
        )
        if not fits:
            raise InvalidInternalToken
        return Claims(
            user_id=_uuid(claims["sub"]),
            tenant_id=_uuid(claims["tenant"]),
            roles=frozenset(claims["roles"]),
            staff_roles=frozenset(claims["staff"]),
            session_id=_uuid(claims["sid"]),
            request_id=claims["rid"],
            actor_id=_uuid(claims["act"]["sub"]) if "act" in claims else None,
        )


def _uuid(text: str) -> UUID | None:
    return UUID(text) if text else None


def new_key(kid: str) -> dict[str, Any]:
    """Return a new private signing key as JWK."""
    parameters: Any = {"kid": kid, "use": "sig", "alg": "EdDSA"}
    return dict(OKPKey.generate_key("Ed25519", parameters, private=True).as_dict(private=True))


def public_part(private_jwk: Mapping[str, Any]) -> dict[str, Any]:
    """Return the public half of a JWK."""
    return {name: value for name, value in private_jwk.items() if name != "d"}
