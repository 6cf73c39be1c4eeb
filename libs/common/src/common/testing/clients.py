"""A client of one service that signs as the gateway would."""

from collections.abc import Generator, Iterable
from functools import cache
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI

from common.auth.internal_token import (
    Claims,
    InternalTokenSigner,
    InternalTokenVerifier,
    RequestBinding,
    new_key,
    public_part,
)
from common.ids import uuid7


@cache
def test_keys() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the gateway's key pair of this test run: private and public JWK."""
    private = new_key("test")
    return private, public_part(private)


test_keys.__test__ = False  # type: ignore[attr-defined]


def test_verifier(service: str) -> InternalTokenVerifier:
    """Return what a service under test checks tokens with."""
    return InternalTokenVerifier([test_keys()[1]], service)


test_verifier.__test__ = False  # type: ignore[attr-defined]


class internal_auth(httpx.Auth):  # noqa: N801
    """Signs each request of an httpx client for one principal.

    Args:
        service: Audience.
        claims: Whom the gateway would vouch for.
    """

    def __init__(self, service: str, claims: Claims) -> None:
        self._service = service
        self._claims = claims
        self._signer = InternalTokenSigner(test_keys()[0])

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the internal token and the tenant header."""
        path, _, query = request.url.raw_path.decode().partition("?")
        binding = RequestBinding.of(request.method, path, query, request.headers)
        request.headers["authorization"] = f"Bearer {self._signer.sign(self._service, self._claims, binding)}"
        if self._claims.tenant_id is not None:
            request.headers["x-tenant-id"] = str(self._claims.tenant_id)
        yield request


class ServiceClient(httpx.AsyncClient):
    """An httpx client of one application in this process."""


def service_client(
    app: FastAPI,
    service: str,
    *,
    user_id: UUID | None = None,
    tenant_id: UUID | None = None,
    session_id: UUID | None = None,
    roles: Iterable[str] = ("owner",),
    staff: Iterable[str] = (),
    language: str = "en",
    anonymous: bool = False,
    actor_id: UUID | None = None,
) -> ServiceClient:
    """Return a client that acts as one person (a new one unless named) in one organization (none unless named).

    Args:
        app: The service's application.
        service: Its name, the tokens' audience.
        user_id: Who asks.
        tenant_id: The active organization.
        session_id: The sign-in (a new one unless named).
        roles: Roles in it.
        staff: Platform roles.
        language: Accept-Language.
        anonymous: A public request: the gateway vouches for nobody.
        actor_id: Who impersonates the person.
    """
    claims = Claims(
        user_id=None if anonymous else user_id or uuid7(),
        tenant_id=tenant_id,
        roles=frozenset(roles if tenant_id else ()),
        staff_roles=frozenset(staff),
        session_id=session_id or uuid7(),
        request_id=str(uuid7()),
        actor_id=actor_id,
    )
    return ServiceClient(
        transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
        base_url="http://service",
        auth=internal_auth(service, claims),
        headers={"accept-language": language},
    )
