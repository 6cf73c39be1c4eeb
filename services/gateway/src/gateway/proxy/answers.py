"""What every answer says to browsers: how it may be used, and by pages of which origins."""

from collections.abc import Iterable

from starlette.responses import Response
from starlette.types import Message, Send

from gateway.proxy.headers import Headers

HARDENING: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]
"""Set where an answer does not say it itself (https://cheatsheetseries.owasp.org, REST Security)."""

HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

SENT_BY_PAGES = (
    "authorization, content-type, accept-language, idempotency-key, if-match, if-none-match, last-event-id, range, "
    "x-reason, x-requested-with"
)
READ_BY_PAGES = (
    b"content-disposition, content-range, etag, location, ratelimit, ratelimit-policy, retry-after, x-request-id"
)
PREFLIGHT_SECONDS = "600"


class Answers:
    """Completes answers.

    Args:
        origins: whose pages may call the API from a browser (`https://console.example`), to the letter.
        secure: whether browsers are told to come by TLS only.
    """

    def __init__(self, origins: Iterable[str] = (), *, secure: bool = False) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self._always = [*HARDENING, HSTS] if secure else HARDENING

    def completed(self, offered: Headers, send: Send) -> Send:
        """An ASGI `send` that adds what is missing."""
        more = [*self._always, *self._sharing(offered)]

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                there = {name for name, _ in headers}
                message["headers"] = [*headers, *(field for field in more if field[0] not in there)]
            await send(message)

        return complete

    def preflight(self, method: str, offered: Headers, methods: Iterable[str]) -> Response | None:
        """The answer to a browser that asks whether a page may call; None where it is no such question."""
        names = {name for name, _ in offered}
        known = any(name == b"access-control-allow-origin" for name, _ in self._sharing(offered))
        if method != "OPTIONS" or b"access-control-request-method" not in names or not known:
            return None
        allowed = {
            "access-control-allow-methods": ", ".join(sorted(methods)),
            "access-control-allow-headers": SENT_BY_PAGES,
            "access-control-max-age": PREFLIGHT_SECONDS,
        }
        return Response(status_code=204, headers=allowed)

    def _sharing(self, offered: Headers) -> Headers:
        """Fields for pages of other origins. Never with credentials: the API knows no cookies."""
        if not self._origins:
            return []
        origins = [value for name, value in offered if name.lower() == b"origin"]
        if len(origins) != 1 or origins[0] not in self._origins:
            return [(b"vary", b"origin")]
        return [
            (b"access-control-allow-origin", origins[0]),
            (b"access-control-expose-headers", READ_BY_PAGES),
            (b"vary", b"origin"),
        ]
