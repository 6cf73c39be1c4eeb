"""Stand-ins for tests: tenancy's signing key and answers, a service that tells what reached it, a raw client.

Nothing here is imported by what runs in production.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from common.auth import InternalTokenVerifier, RequestBinding
from common.auth.errors import InvalidInternalToken
from common.auth.internal_token import Claims, new_key, public_part
from common.ids import uuid7
from common.messaging import Envelope
from joserfc import jwt
from joserfc.jwk import OKPKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.proxy.api_keys import ALPHABET, MARK, checksum


@dataclass
class Seen:
    """One request as a service got it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    claims: Claims | None

    def values(self, name: str) -> list[str]:
        """All values of fields whose folded name is `name`."""
        folded = [(key.lower().replace("_", "-").replace(".", "-"), value) for key, value in self.headers]
        return [value for key, value in folded if key == name]


@dataclass
class Upstream:
    """A service that checks the gateway's token, as every service does, and remembers what reached it."""

    name: str
    verifier: InternalTokenVerifier
    seen: list[Seen] = field(default_factory=list)
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    def claims(self, request: Request) -> Claims | None:
        binding = RequestBinding.of(
            request.method,
            request.scope["raw_path"].decode("latin-1"),
            request.scope["query_string"].decode("latin-1"),
            request.headers,
        )
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            return self.verifier.verify(token, binding, request.headers.get("x-tenant-id"))
        except InvalidInternalToken:
            return None

    async def note(self, request: Request) -> Seen:
        target = request.scope["raw_path"].decode("latin-1")
        query = request.scope["query_string"].decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
        seen = Seen(request.method, f"{target}?{query}" if query else target, headers, b"", self.claims(request))
        self.seen.append(seen)
        self.entered.set()
        seen.body = await request.body()
        return seen

    async def echo(self, request: Request) -> Response:
        seen = await self.note(request)
        claims = seen.claims
        told = {
            "service": self.name,
            "user": str(claims.user_id) if claims and claims.user_id else None,
            "tenant": str(claims.tenant_id) if claims and claims.tenant_id else None,
            "roles": sorted(claims.roles) if claims else [],
            "bytes": len(seen.body),
        }
        return JSONResponse(told, status_code=200 if claims else 401, headers={"x-answered-by": self.name})

    async def stream(self, request: Request) -> Response:
        """Send one piece, then go on when `release` is set; notices when the client goes away."""
        await self.note(request)

        async def pieces() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await self.release.wait()
                yield b"second"
            except (asyncio.CancelledError, GeneratorExit):
                self.cancelled.set()
                raise

        return StreamingResponse(pieces(), media_type="application/octet-stream")

    async def hang(self, request: Request) -> Response:
        """Take the request and do not answer before `release` is set."""
        await self.note(request)
        await self.release.wait()
        return Response()

    def app(self, *more: Route) -> Starlette:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(
            routes=[
                *more,
                Route("/api/backup-jobs/stream/", self.stream, methods=methods),
                Route("/api/backup-jobs/hang/", self.hang, methods=methods),
                Route("/{path:path}", self.echo, methods=methods),
            ]
        )


@dataclass
class TenancyStandIn:
    """Signs access tokens and answers the gateway's questions, as tenancy does."""

    upstream: Upstream
    keys: list[dict[str, Any]] = field(default_factory=lambda: [new_key("one")])
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    session_questions: int = 0
    api_keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    key_questions: int = 0
    failing: bool = False

    def token(self, *, key: dict[str, Any] | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """An access token; claims given here replace the usual ones, None removes one."""
        now = int(time.time())
        usual: dict[str, Any] = {
            "iss": "tenancy",
            "aud": "gateway",
            "sub": str(uuid7()),
            "sid": str(uuid7()),
            "jti": str(uuid7()),
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            "roles": [],
            "staff": [],
        }
        signing = key or self.keys[0]
        wanted = {name: value for name, value in (usual | claims).items() if value is not None}
        head = {"alg": "EdDSA", "typ": "at+jwt", "kid": signing["kid"]} | (header or {})
        return jwt.encode(head, wanted, OKPKey.import_key(signing), algorithms=["EdDSA"])

    def headers(self, *, tenant: UUID | None = None, **claims: Any) -> dict[str, str]:
        """The Authorization field of a signed-in person."""
        named: dict[str, Any] = {"tenant": str(tenant), "roles": ["owner"]} if tenant else {}
        return {"authorization": f"Bearer {self.token(**named, **claims)}"}

    async def api_key(self, request: Request) -> Response:
        self.key_questions += 1
        found = self.api_keys.get(request.path_params["digest"])
        if self.failing:
            return Response(status_code=500)
        if self.upstream.claims(request) is None or found is None:
            return Response(status_code=404)
        return JSONResponse(found)

    async def key_set(self, request: Request) -> Response:
        if self.upstream.claims(request) is None:
            return Response(status_code=401)
        return JSONResponse({"keys": [public_part(key) for key in self.keys]})

    async def session(self, request: Request) -> Response:
        self.session_questions += 1
        claims = self.upstream.claims(request)
        known = self.sessions.get(request.path_params["sid"])
        if self.failing:
            return Response(status_code=500)
        if claims is None or known is None or str(claims.user_id) != known["user"]:
            return Response(status_code=404 if claims else 401)
        told = {"tenant_id": known["tenant"], "roles": known["roles"], "revoked": known["revoked"]}
        factor = {name: known.get(name) for name in ("has_second_factor", "second_factor_at")}
        return JSONResponse(told | factor | {"staff_roles": known.get("staff_roles", [])})

    def app(self) -> Starlette:
        return self.upstream.app(
            Route("/.well-known/jwks.json", self.key_set),
            Route("/internal/sessions/{sid}", self.session),
            Route("/internal/api-keys/{digest}", self.api_key),
        )


def a_key() -> str:
    """An API key with a right checksum."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(43))
    return MARK + text + checksum(text)


async def raw_exchange(port: int, request: bytes) -> tuple[int, dict[str, Any] | None, bytes]:
    """Send bytes as they are and read the answer to its end: status, JSON body if there is one, everything."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head else 0
    try:
        return status, json.loads(body), answer
    except ValueError:
        return status, None, answer


def told(event: str, tenant: UUID | None = None, **data: Any) -> Envelope:
    """A fact as tenancy tells it."""
    return Envelope(
        id=uuid7(),
        source="tenancy",
        type=f"{event}.v1",
        time=datetime.now(UTC),
        subject="1",
        tenantid=tenant,
        dataschema=f"events/{event}.v1.json",
        aggregateversion=1,
        data={name: str(value) for name, value in data.items()},
    )
