"""Calling a provider: one bearer token shared by all calls, a timeout on each, transport errors turned into ours.

Not here: what an answer means; that is each adapter's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from billing.adapters.circuit import Circuit
from billing.ports import ProviderMisconfigured, ProviderRefused, ProviderUnavailable

RETRYABLE_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that may be another tomorrow; a provider whose 500 can be final decides that before asking here."""

DOWN = frozenset({502, 503, 504})
"""Answers of whoever stands before a provider that is down; a 500 is often a verdict about the request."""

Clock = Callable[[], datetime]


def unexpected(refused: ProviderRefused) -> ProviderMisconfigured:
    """A question that cannot be wrong was refused: not the payer's affair, a person has to look."""
    return ProviderMisconfigured(refused.code, refused.detail)


class MixedSettings(ValueError):
    """Settings of different environments or accounts were put together; no part may start with them."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token and when it has to be renewed."""

    value: str
    renew_at: datetime


def token_for(value: str, lifetime: timedelta, early: timedelta, now: datetime) -> Token:
    """A token renewed `early` before its end; a short-lived one at half of its life."""
    return Token(value, now + max(lifetime - early, lifetime // 2))


def is_loopback(url: str) -> bool:
    """True for an address of this machine, where stand-ins of providers listen."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def require_https(url: str, setting: str) -> None:
    """Refuse an address that is neither https nor on this machine.

    Raises:
        MixedSettings: with the name of the setting.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname and not parts.username:
        return
    if parts.scheme == "http" and is_loopback(url):
        return
    raise MixedSettings(f"{setting} must be an https address, not {url!r}")


class BearerClient:
    """Signed-in calls to one provider. The token is fetched once for all callers, and once more after a 401."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        timeout_seconds: int,
        fetch_token: Callable[[], Awaitable[Token]],
        clock: Clock,
        circuit: Circuit,
    ) -> None:
        self._circuit = circuit
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._fetch_token = fetch_token
        self._clock = clock
        self._token: Token | None = None
        self._renewing = asyncio.Lock()

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        auth: tuple[str, str] | None = None,
    ) -> httpx.Response:
        """One call without a token.

        Raises:
            ProviderUnavailable: no answer within the timeout, or not asked while the circuit is open.
        """
        tries = self._circuit.enter()
        try:
            answer = await self._http.request(
                method,
                f"{self._base_url}{path}",
                headers=dict(headers),
                content=content,
                auth=auth,
                timeout=self._timeout_seconds,
                follow_redirects=False,
            )
        except httpx.PoolTimeout as error:
            # Our own connections are all in use, which says nothing about the provider.
            raise ProviderUnavailable("no_connection_free", type(error).__name__) from error
        except httpx.TransportError as error:
            self._circuit.failed(tried=tries)
            raise ProviderUnavailable("no_answer", type(error).__name__) from error
        if answer.status_code in DOWN:
            self._circuit.failed(tried=tries)
        else:
            self._circuit.succeeded()
        return answer

    async def call(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> httpx.Response:
        """One call with the token; any answer but 401 is returned as it is.

        Raises:
            ProviderUnavailable: no answer within the timeout.
            ProviderMisconfigured: the provider takes no token that our credentials get.
        """
        token = await self._current(unlike=None)
        answer = await self._with(token, method, path, headers, content)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # It may have been revoked or have run out on the way: one fresh token, then it is our credentials.
            token = await self._current(unlike=token)
            answer = await self._with(token, method, path, headers, content)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise ProviderMisconfigured("unauthorized", f"{method} {path}")
        return answer

    async def _with(
        self, token: Token, method: str, path: str, headers: Mapping[str, str], content: bytes | None
    ) -> httpx.Response:
        return await self.send(method, path, {**headers, "Authorization": f"Bearer {token.value}"}, content=content)

    async def _current(self, *, unlike: Token | None) -> Token:
        async with self._renewing:
            if self._token is None or self._token is unlike or self._clock() >= self._token.renew_at:
                self._token = await self._fetch_token()
            return self._token
