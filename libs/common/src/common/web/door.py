"""The first thing that a request meets: without the gateway's token for this very request it is not even parsed."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from common.auth.access import vouch
from common.auth.errors import InvalidInternalToken
from common.auth.internal_token import InternalTokenVerifier
from common.telemetry.context import asked_from, impersonated_by
from common.web.problems import of_domain_error

LONGEST_ADDRESS = 45
"""Characters of an IPv6 address that holds an IPv4 one."""


class TokenDoor:
    """Raw ASGI middleware: answers 401, or leaves what the gateway vouches for with the request.

    Not a dependency: a route's body is parsed before its first dependency, and a path without a route has none.

    Args:
        app: What is behind it.
        verifier: Checks the gateway's tokens.
    """

    def __init__(self, app: ASGIApp, verifier: InternalTokenVerifier) -> None:
        self._app = app
        self._verifier = verifier

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
            await self._app(scope, receive, send)
