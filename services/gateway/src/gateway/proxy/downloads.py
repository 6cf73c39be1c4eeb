"""Downloads by link: for what cannot send an Authorization field, such as a browser's download or a plain `wget`.

Nothing is decided here about who may read what. The service is asked for the download's first byte when a link is made
and again when it is first used, in the name of whoever asked for it, and what it refuses is its own answer.
"""

from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Scope, Send

from gateway.errors import DownloadChanged, DownloadLinkOver, ServiceUnavailable
from gateway.proxy.access_tokens import Identity
from gateway.proxy.download_links import DownloadLinks, Grant, Kind
from gateway.proxy.headers import Headers, returning
from gateway.proxy.route_table import RouteTable
from gateway.proxy.routes import DOWNLOADS, Route
from gateway.proxy.services import Services

FIRST_BYTE: Headers = [(b"range", b"bytes=0-0")]
PRIVATE: Headers = [(b"cache-control", b"private, no-store"), (b"referrer-policy", b"no-referrer")]
"""What every answer to a link says, whatever the service says: its address is a secret, and so is what it leads to."""

REFUSED = 400
"""Where statuses of refusals begin."""
LARGEST_REFUSAL = 1 << 20


class Downloads:
    """Makes links and finds out what they lead to.

    Args:
        links: seals and opens them.
        services: asked for what is downloaded.
        table: finds the download's row.
        public_url: address of the API.
        idle_seconds: how long a service may be silent.
    """

    def __init__(
        self, links: DownloadLinks, services: Services, table: RouteTable, public_url: str, idle_seconds: float
    ) -> None:
        self._links = links
        self._services = services
        self._table = table
        self._public_url = public_url.rstrip("/")
        self._idle_seconds = idle_seconds

    def opened(self, token: str) -> tuple[Kind, Grant, Route]:
        """What a link says, and the row of the download that it is for.

        Raises:
            DownloadLinkOver: it is not ours, was altered, has expired, or leads to what is no download (any more).
        """
        kind, grant = self._links.open(token)
        rows = self._table.rows_of(grant.target)
        route = next((row for row in rows if row.by_link), None)
        if route is None:
            raise DownloadLinkOver
        return kind, grant, route

    async def made(self, download: Route, target: str, identity: Identity, scope: Scope) -> Response:
        """The answer to who asks for a link: 201 with its address, or what the service says of the download."""
        refusal, _etag = await self._asked(download, target, identity, scope)
        if refusal is not None:
            return refusal
        grant = Grant(
            target,
            identity.user_id,
            identity.tenant_id,
            identity.session_id,
            identity.key_digest,
            expires_at=self._links.expiry(Kind.START),
        )
        url = self._public_url + DOWNLOADS.replace("{token}", self._links.seal(Kind.START, grant))
        starts_before = datetime.fromtimestamp(grant.expires_at, UTC).isoformat().replace("+00:00", "Z")
        return JSONResponse({"url": url, "starts_before": starts_before}, 201, {"location": url})

    async def begun(self, download: Route, grant: Grant, identity: Identity, scope: Scope) -> Response:
        """The answer to a link's first use: it leads to one for the object as it is now."""
        refusal, etag = await self._asked(download, grant.target, identity, scope)
        if refusal is not None:
            return refusal
        following = replace(grant, etag=etag, expires_at=self._links.expiry(Kind.FOLLOW))
        # Without a host: it works behind every name by which the gateway is reached.
        location = DOWNLOADS.replace("{token}", self._links.seal(Kind.FOLLOW, following))
        return Response(status_code=307, headers={"location": location})

    async def _asked(
        self, download: Route, target: str, identity: Identity, scope: Scope
    ) -> tuple[Response | None, str | None]:
        """The service's refusal, if it refuses, and the ETag of what it would send."""
        spoken = [field for field in scope["headers"] if field[0] == b"accept-language"]
        passing = [*spoken, *FIRST_BYTE, (b"x-forwarded-for", scope["client"][0].encode("latin-1"))]
        sending = self._services.send(
            download.service,
            "GET",
            target,
            passing,
            None,
            length="0",
            identity=identity,
            idle_seconds=self._idle_seconds,
        )
        async with sending as answer:
            if answer.status < REFUSED:
                return None, answer.headers.get("etag")
            return await _relayed(answer, download.service), None


async def _relayed(answer: aiohttp.ClientResponse, service: str) -> Response:
    try:
        body = b"".join([piece async for piece in answer.content.iter_chunked(LARGEST_REFUSAL)])
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ServiceUnavailable(service=service) from error
    relayed = Response(body, answer.status)
    relayed.raw_headers = returning(answer.raw_headers)
    return relayed


def private(send: Send) -> Send:
    """An ASGI `send` that says of every answer that nobody may keep it or learn its address."""

    async def said(message: Message) -> None:
        if message["type"] == "http.response.start":
            ours = {name for name, _ in PRIVATE}
            message["headers"] = [*(field for field in message["headers"] if field[0] not in ours), *PRIVATE]
        await send(message)

    return said


def only(etag: str | None, send: Send) -> Send:
    """An ASGI `send` that lets nothing through but the state of the object that a link was made for.

    Its result raises DownloadChanged when it gets the head of an answer with another ETag; nothing is sent then.
    """

    async def checked(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < REFUSED:
            found = dict(message["headers"]).get(b"etag")
            if (found.decode("latin-1") if found else None) != etag:
                raise DownloadChanged
        await send(message)

    return checked
