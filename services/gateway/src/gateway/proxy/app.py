"""The gateway as a raw ASGI application: judge a request, vouch for its person, stream it there and back."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import aiohttp
import structlog
from common.auth.internal_token import CHUNKED
from common.crash_points import reach
from common.errors import DomainError
from common.web.context import RequestContext
from common.web.problems import language_of, of_domain_error, problem
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from gateway.errors import BodyTooLarge, HeadersTooLarge, NoRoute, ServiceUnavailable, TooManyRequests
from gateway.proxy import headers as fields
from gateway.proxy.access_tokens import Identity
from gateway.proxy.answers import Answers
from gateway.proxy.bodies import READ_WHOLE_BYTES, ClientGone, RequestBody, discard_rest
from gateway.proxy.callers import Callers
from gateway.proxy.clients import Network, client_address
from gateway.proxy.download_links import Kind
from gateway.proxy.downloads import Downloads, only, private
from gateway.proxy.exchanges import AccessEnded, Exchange
from gateway.proxy.fairness import InHand
from gateway.proxy.pages import Pages
from gateway.proxy.paths import LONGEST_TARGET, is_plain, is_plain_query
from gateway.proxy.route_table import RouteTable
from gateway.proxy.routes import OWN, Route, download_of
from gateway.proxy.services import Services

log = logging.getLogger(__name__)

METHOD_TEXTS = {"en": "This method is not offered here.", "fr": "Cette méthode n'est pas proposée ici."}
CLIENT_CLOSED = 499
"""Status in the access log for a client that went away, as nginx writes it."""


class Gateway:
    """Routes, checks and proxies.

    Args:
        table: what is let through.
        services: where it goes.
        callers: finds out who asks.
        pages: what the gateway answers itself.
        downloads: what it does for downloads by link.
        answers: what every answer says to browsers.
        in_hand: how many requests an organization may have at once.
        idle_seconds: how long either side may be silent, where the route does not say.
        trusted: networks of load balancers before us.
    """

    def __init__(
        self,
        table: RouteTable,
        services: Services,
        callers: Callers,
        pages: Pages,
        *,
        downloads: Downloads,
        answers: Answers,
        in_hand: InHand,
        idle_seconds: float,
        trusted: Sequence[Network] = (),
    ) -> None:
        self._trusted = trusted
        self._table = table
        self._services = services
        self._callers = callers
        self._pages = pages
        self._downloads = downloads
        self._idle_seconds = idle_seconds
        self._answers = answers
        self._in_hand = in_hand
        self._observed = RequestContext(self._answer, service="gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one ASGI connection; web sockets are not offered."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            offered = scope["headers"]
            # From here on nothing sees what the client said about itself, not even the access log.
            peer, port = scope.get("client") or ("unknown", 0)
            cleaned = dict(
                scope,
                headers=fields.passing(offered),
                client=(client_address(peer, offered, self._trusted), port),
                state=dict(scope.get("state", {}), offered=offered, told=[], came_at=time.time()),
            )
            await self._observed(cleaned, receive, self._answers.completed(offered, send))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                await self._services.close()
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = _Started(send)
        try:
            await self._route(scope, receive, started)
        except DomainError as refused:
            if started.yes:
                # The head of an answer is out: the only honest way left is to break off.
                raise
            # Where some of the body is left the connection cannot be used again.
            begun: RequestBody | None = scope["state"].get("body")
            is_cut = isinstance(refused, BodyTooLarge) or (begun is not None and not begun.finished.is_set())
            if is_cut:
                await discard_rest(receive)
            response = self._problem(scope, refused)
            if is_cut:
                response.headers["Connection"] = "close"
            await response(scope, receive, send)
        except ClientGone:
            log.info("client went away")

    def _problem(self, scope: Scope, refused: DomainError) -> Response:
        response = of_domain_error(Request(scope), refused)
        for name, value in refused.headers if isinstance(refused, TooManyRequests) else scope["state"]["told"]:
            response.headers[name.decode()] = value.decode()
        if refused.kind.value == 401:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        offered = scope["state"]["offered"]
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        if fields.are_too_large(offered) or len(raw_path) + len(query) > LONGEST_TARGET:
            raise HeadersTooLarge
        if not is_plain(raw_path) or not is_plain_query(query):
            raise NoRoute
        if page := await self._pages.page(scope["method"], raw_path.decode()):
            scope["route"] = page.route
            await page.response(scope, receive, send)
            return
        rows = self._table.rows_of(raw_path.decode("latin-1"))
        if not rows:
            raise NoRoute
        scope["route"] = rows[0]
        route = next((row for row in rows if scope["method"] in row.methods), None)
        if route is None:
            methods = set().union(*(row.methods for row in rows))
            asked = self._answers.preflight(scope["method"], offered, methods)
            await (asked or self._wrong_method(scope, methods))(scope, receive, send)
            return
        scope["route"] = route
        if route.service == OWN:
            await self._link(route, raw_path.decode("latin-1"), scope, receive, private(send))
            return
        identity, left = await self._callers.admit(route, scope["method"], offered, scope["client"][0])
        self._note(identity, left, scope)
        target = raw_path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
        with self._in_hand.one_of(identity.tenant_id if identity else None):
            await self._forward(route, identity, target, scope, receive, send)

    @staticmethod
    def _note(identity: Identity | None, left: fields.Headers, scope: Scope) -> None:
        if identity is not None and identity.actor_id is not None:
            scope["state"]["impersonator"] = identity.actor_id
            structlog.contextvars.bind_contextvars(impersonator=str(identity.actor_id))
        if identity is not None and identity.tenant_id is not None:
            structlog.contextvars.bind_contextvars(tenant_id=str(identity.tenant_id))
        scope["state"]["told"] = left

    async def _link(self, route: Route, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a row of our own: make a link, begin a download by one, or go on with it."""
        offered, address = scope["state"]["offered"], scope["client"][0]
        if route.link_to is not None:
            await RequestBody(receive, route.body_bytes, self._idle_seconds).whole()
            identity, left = await self._callers.admit_to_link(route.link_to, offered, address)
            self._note(identity, left, scope)
            with self._in_hand.one_of(identity.tenant_id):
                target = download_of(route.link_to, path)
                answer = await self._downloads.made(route.link_to, target, identity, scope)
            answer.raw_headers.extend(left)
            await answer(scope, receive, send)
            return
        await self._callers.admit(route, scope["method"], offered, address)
        kind, grant, download = self._downloads.opened(path.rpartition("/")[2])
        identity, left = await self._callers.admit_by_link(grant, download, address)
        self._note(identity, left, scope)
        with self._in_hand.one_of(identity.tenant_id):
            if kind is Kind.FOLLOW:
                await self._forward(download, identity, grant.target, scope, receive, only(grant.etag, send))
                return
            answer = await self._downloads.begun(download, grant, identity, scope)
        answer.raw_headers.extend(left)
        await answer(scope, receive, send)

    @staticmethod
    def _wrong_method(scope: Scope, allowed: set[str]) -> Response:
        request = Request(scope)
        language = language_of(request.headers.get("accept-language"))
        headers = {"Allow": ", ".join(sorted(allowed)), "Content-Language": language}
        return problem(request, 405, "method_not_allowed", METHOD_TEXTS[language], headers=headers)

    async def _forward(
        self, route: Route, identity: Identity | None, target: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        length = _length(scope["state"]["offered"])
        if length != CHUNKED and int(length) > route.body_bytes:
            raise BodyTooLarge(limit_bytes=route.body_bytes)
        idle = route.idle_seconds or self._idle_seconds
        body = scope["state"]["body"] = RequestBody(receive, route.body_bytes, idle, is_empty=length == "0")
        large = length == CHUNKED or int(length) > READ_WHOLE_BYTES
        data: Any = body.chunks() if large else await body.whole() or None
        exchange = Exchange()
        allowed = self._callers.while_allowed(identity, exchange.end, scope["state"]["came_at"])
        try:
            async with exchange.running(body, allowed):
                await self._exchange(route, identity, target, scope, length, data, body, send, idle)
        except AccessEnded:
            if identity is not None:
                self._callers.refuse(identity)
            raise

    async def _exchange(
        self,
        route: Route,
        identity: Identity | None,
        target: str,
        scope: Scope,
        length: str,
        data: Any,
        body: RequestBody,
        send: Send,
        idle_seconds: float,
    ) -> None:
        passing = [*scope["headers"], (b"x-forwarded-for", scope["client"][0].encode("latin-1"))]
        sending = self._services.send(
            route.service,
            scope["method"],
            target,
            passing,
            data,
            length=length,
            identity=identity,
            idle_seconds=idle_seconds,
        )
        try:
            async with sending as answer:
                reach("gateway.answer.received")
                await _stream_back(answer, route.service, scope["state"]["told"], send)
        except ServiceUnavailable:
            if body.refused is not None:
                raise body.refused from None
            raise


async def _stream_back(answer: aiohttp.ClientResponse, service: str, told: fields.Headers, send: Send) -> None:
    returning = [*fields.returning(answer.raw_headers), *told]
    await send({"type": "http.response.start", "status": answer.status, "headers": returning})
    try:
        async for piece in answer.content.iter_any():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("%s broke off its answer: %s", service, type(error).__name__)
        raise ServiceUnavailable(service=service) from error
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _length(offered: fields.Headers) -> str:
    """The length of a request's body in digits, or `chunked`; the server has refused what is ambiguous."""
    lengths = {value for name, value in offered if name.lower() == b"content-length"}
    if any(name.lower() == b"transfer-encoding" for name, _ in offered):
        if lengths:
            raise NoRoute
        return CHUNKED
    if not lengths:
        return "0"
    (only,) = lengths if len(lengths) == 1 else (b"",)
    if not only.isdigit():
        raise NoRoute
    return str(int(only))


class _Started:
    """An ASGI `send` that remembers whether the answer's head is out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.yes = False

    async def __call__(self, message: Message) -> None:
        self.yes = self.yes or message["type"] == "http.response.start"
        await self._send(message)
