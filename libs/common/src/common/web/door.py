"""The first thing that a request meets: without the gateway's token for this very request it is not even parsed.

And without a row in the organization's audit log, nobody of the staff reads anything in its name: the row is committed
before the request goes on, so that no crash and no error of what follows loses it.
"""

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from common.auth.access import vouch
from common.auth.errors import InvalidInternalToken
from common.auth.internal_token import Claims, InternalTokenVerifier
from common.telemetry.context import asked_from, impersonated_by
from common.web.problems import of_domain_error

if TYPE_CHECKING:
    from common.persistence.store import Store

LONGEST_ADDRESS = 45
"""Characters of an IPv6 address that holds an IPv4 one."""

LONGEST_TARGET = 200
"""Characters of what an audit row is about."""


class TokenDoor:
    """Raw ASGI middleware: answers 401, or leaves what the gateway vouches for with the request.

    Not a dependency: a route's body is parsed before its first dependency, and a path without a route has none.

    Args:
        app: What is behind it.
        verifier: Checks the gateway's tokens.
        store: Where it is written down what staff asks for in an organization's name; without it, staff may not.
    """

    def __init__(self, app: ASGIApp, verifier: InternalTokenVerifier, store: "Store[Any] | None" = None) -> None:
        self._app = app
        self._verifier = verifier
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in or not; other ASGI scopes pass unchanged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            vouch(request, self._verifier)
        except InvalidInternalToken as error:
            await of_domain_error(request, error)(scope, receive, send)
            return
        # Only the gateway's requests come this far, and it lets no such field of a client's pass.
        actor = request.state.claims.actor_id
        scope["state"]["impersonator"] = actor
        with (
            asked_from(request.headers.get("x-forwarded-for", "")[:LONGEST_ADDRESS] or None),
            impersonated_by(None if actor is None else str(actor)),
        ):
            if actor is not None:
                try:
                    await self._witness(request, request.state.claims)
                except InvalidInternalToken as error:
                    await of_domain_error(request, error)(scope, receive, send)
                    return
            await self._app(scope, receive, send)

    async def _witness(self, request: Request, claims: Claims) -> None:
        """Commit who asked for what in whose name: path without query, for there may be words of a search in it.

        Raises:
            InvalidInternalToken: It is in the name of no organization's person.
        """
        if self._store is None or claims.tenant_id is None or claims.user_id is None:
            raise InvalidInternalToken
        raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode()
        asked = f"{request.method} {raw_path.decode('latin-1')}"[:LONGEST_TARGET]
        async with self._store.for_tenant(claims.tenant_id) as uow:
            details = {"impersonation": str(claims.session_id)}
            await uow.audit("impersonation.used", asked, actor=claims.user_id, details=details)
