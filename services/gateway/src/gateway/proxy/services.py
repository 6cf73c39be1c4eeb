"""The services behind the gateway: one pooled client for all, and the token that each request carries.

Responses are streamed as they come. There is no limit to the whole of an answer, only to silence.
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from common.auth.internal_token import CHUNKED, Claims, InternalTokenSigner, RequestBinding
from common.ids import uuid7
from common.telemetry.context import correlation_id, traceparent
from yarl import URL

from gateway.errors import ServiceUnavailable
from gateway.proxy.access_tokens import Identity
from gateway.proxy.fairness import Breaker
from gateway.proxy.headers import Headers, as_text

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 4.0
"""Far below what a service keeps idle connections (`common.web`): it must not close one that we just chose."""

ANSWER_SECONDS = 5.0
"""How long tenancy may take to answer the gateway's own questions."""

LARGEST_ANSWER = 1 << 20


READ_BUFFER_BYTES = 1 << 16
"""How far an answer is read ahead of a slow client. aiohttp stops reading at twice as much and one read more (256 KiB);
all of that goes on as one piece, while as much again is read: together it stays below 1 MiB a stream.
"""


class Services:
    """Sends requests to services, each with an internal token of its own.

    Args:
        urls: base URL of each service by name.
        signer: signs internal tokens.
        connect_seconds: patience for a connection.
        connections: open connections per service.
    """

    def __init__(
        self, urls: Mapping[str, str], signer: InternalTokenSigner, *, connect_seconds: float, connections: int
    ) -> None:
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._signer = signer
        self._connect_seconds = connect_seconds
        self._connections = connections
        self._breakers = {name: Breaker(name) for name in urls}
        self._client: aiohttp.ClientSession | None = None

    @property
    def client(self) -> aiohttp.ClientSession:
        """The pooled client, made within the running loop when it is first needed."""
        if self._client is None or self._client.closed:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, limit_per_host=self._connections, keepalive_timeout=KEEP_ALIVE_SECONDS
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=READ_BUFFER_BYTES,
                trust_env=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    @asynccontextmanager
    async def send(
        self,
        service: str,
        method: str,
        target: str,
        headers: Headers,
        body: bytes | AsyncIterator[bytes] | None,
        *,
        length: str,
        identity: Identity | None,
        idle_seconds: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; the answer's head is there on entry, its body is read from it.

        Args:
            service: its name.
            method: HTTP method.
            target: path and query, byte for byte as the client sent them.
            headers: fields that pass.
            body: all of it, or its pieces as they come.
            length: bytes of the body in digits, or `chunked`.
            identity: whom the gateway vouches for; None for nobody.
            idle_seconds: how long the service may be silent.

        Raises:
            ServiceUnavailable: no connection, no answer in time, or the connection broke before the answer.
        """
        path, _, query = target.partition("?")
        claims = _claims(identity)
        binding = RequestBinding(method, f"{path}?{query}" if query else path, length)
        fields = [(name.decode("ascii"), as_text(value)) for name, value in headers]
        fields += [("authorization", f"Bearer {self._signer.sign(service, claims, binding)}")]
        fields += [("x-request-id", claims.request_id)]
        if claims.tenant_id is not None:
            fields += [("x-tenant-id", str(claims.tenant_id))]
        if parent := traceparent():
            fields += [("traceparent", parent)]
        if length not in {CHUNKED, "0"}:
            fields += [("content-length", length)]
        breaker = self._breakers[service]
        breaker.check()
        try:
            answer = await self.client.request(
                method,
                URL(self._urls[service] + binding.path, encoded=True),
                headers=fields,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds, sock_read=idle_seconds),
            )
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            log.warning("%s does not answer: %s", service, type(error).__name__)
            if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                breaker.failed()
            raise ServiceUnavailable(service=service) from error
        breaker.connected()
        try:
            yield answer
        finally:
            # A connection whose answer was read to its end goes back to the pool; any other is closed, which tells
            # the service that nobody listens any more.
            answer.close() if not answer.content.at_eof() else answer.release()

    async def ask(self, service: str, path: str, identity: Identity | None = None) -> Mapping[str, Any] | None:
        """Ask a service for a JSON document; None when it has none (404).

        Raises:
            ServiceUnavailable: it does not answer, or with anything else.
        """
        sending = self.send(service, "GET", path, [], None, length="0", identity=identity, idle_seconds=ANSWER_SECONDS)
        async with sending as answer:
            if answer.status == 404:
                return None
            try:
                body = await answer.content.read(LARGEST_ANSWER)
                while not answer.content.at_eof() and len(body) < LARGEST_ANSWER:
                    body += await answer.content.read(LARGEST_ANSWER)
                document = json.loads(body) if answer.status == 200 else None
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise ServiceUnavailable(service=service) from error
        if not isinstance(document, dict):
            log.warning("%s answers %s with %s", service, path.partition("?")[0], answer.status)
            raise ServiceUnavailable(service=service)
        return document


def _claims(identity: Identity | None) -> Claims:
    request_id = correlation_id() or str(uuid7())
    if identity is None:
        return Claims(None, None, request_id=request_id)
    return Claims(
        identity.user_id,
        identity.tenant_id,
        identity.roles,
        identity.staff_roles,
        identity.session_id,
        request_id,
        identity.actor_id,
    )
