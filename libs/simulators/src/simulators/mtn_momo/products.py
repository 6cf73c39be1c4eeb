"""A product of MTN MoMo as a door: its subscription key, its API users, their tokens.

The order of checks is the real one: subscription key (the API gateway), then credentials, then environment, then the
request. A token of one product opens no other.
"""

import base64
import binascii
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from simulators.mtn_momo.outcomes import Refusal, refusal

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class ApiUser:
    """A user of the API; without a key it cannot sign in yet."""

    callback_host: str
    key: str | None = None


class Product:
    """One product in one environment.

    Args:
        subscription_key: Of the product.
        environment: The only X-Target-Environment that it answers for.
        token_seconds: How long a token lives.
        users: API users by id.
    """

    def __init__(
        self, *, subscription_key: str, environment: str, token_seconds: int, users: dict[str, ApiUser]
    ) -> None:
        self._subscription_key = subscription_key
        self._environment = environment
        self._token_seconds = token_seconds
        self.users = users
        self._tokens: dict[str, tuple[str, float]] = {}

    def key_fault(self, request: Request) -> Response | None:
        offered = request.headers.get("ocp-apim-subscription-key")
        if offered == self._subscription_key:
            return None
        problem = "missing subscription key" if offered is None else "invalid subscription key"
        message = f"Access denied due to {problem}. Make sure to provide a valid key for an active subscription."
        return JSONResponse({"statusCode": 401, "message": message}, 401)

    async def token(self, request: Request) -> Response:
        if (fault := self.key_fault(request)) is not None:
            return fault
        if await request.body():
            return Response(status_code=400)
        user, key = _basic(request.headers.get("authorization", ""))
        known = self.users.get(user)
        if known is None or known.key is None or not secrets.compare_digest(known.key, key):
            # Wrong credentials are really answered 500, not 401.
            return JSONResponse({"error": "login_failed"}, 500)
        token = secrets.token_urlsafe(48)
        self._tokens[token] = (user, time.monotonic() + self._token_seconds)
        return JSONResponse({"access_token": token, "token_type": "access_token", "expires_in": self._token_seconds})

    def _user(self, request: Request) -> ApiUser | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        user, ends = self._tokens.get(token.strip(), ("", 0.0))
        return self.users[user] if scheme == "Bearer" and time.monotonic() < ends else None

    def guarded(self, handler: Handler) -> Handler:
        async def checked(request: Request) -> Response:
            if (fault := self.key_fault(request)) is not None:
                return fault
            user = self._user(request)
            if user is None:
                return JSONResponse({"error": "invalid_token"}, 401)
            if request.headers.get("x-target-environment") != self._environment:
                return refused(refusal(500, "NOT_ALLOWED_TARGET_ENVIRONMENT"))
            request.state.user = user
            return await handler(request)

        return checked


def _basic(header: str) -> tuple[str, str]:
    """User and password of a Basic header; two empty texts where it is none."""
    scheme, _, value = header.partition(" ")
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if scheme == "Basic" else ("", "")


def refused(fault: Refusal) -> Response:
    """The answer that refuses."""
    if not fault.code:
        return Response(status_code=fault.status)
    return JSONResponse({"code": fault.code, "message": fault.message}, fault.status)
