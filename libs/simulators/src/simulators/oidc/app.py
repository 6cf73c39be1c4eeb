"""The provider's endpoints, as https://openid.net/specs/openid-connect-core-1_0.html has them."""

import hashlib
import secrets
import time
from base64 import b64decode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from simulators.oidc.id_tokens import RsaKey, encoded
from simulators.server import Running, serve

CODE_SECONDS = 60
TOKEN_SECONDS = 300


@dataclass
class Provider:
    """One provider with one client.

    Attributes:
        client_id: whom it knows us as.
        client_secret: how we prove it.
        redirect_uri: the only address that it sends anybody back to.
        person: who signs in next: `sub email email_verified name`.
        lies: what the next ID tokens say that is not so: any claim, `alg`, `foreign_key`; `issuer` for discovery.
    """

    client_id: str = "esxi-backup-manager"
    client_secret: str = "a secret of the provider"
    redirect_uri: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    lies: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url = ""
        self._key, self._foreign = RsaKey("own", "current"), RsaKey("foreign", "current")
        self._codes: dict[str, dict[str, Any]] = {}

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/_sim/person", self._set_person, methods=["PUT"]),
                Route("/_sim/lies", self._set_lies, methods=["PUT"]),
            ]
        )

    async def _discovery(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.lies.get("issuer", self.url),
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _jwks(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self._key.public_jwk()]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        fits = (
            asked.get("client_id") == self.client_id
            and asked.get("redirect_uri") == self.redirect_uri
            and asked.get("response_type") == "code"
            and "openid" in asked.get("scope", "").split()
            and asked.get("code_challenge_method") == "S256"
        )
        if not fits:
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        code = secrets.token_urlsafe(24)
        self._codes[code] = {
            "challenge": asked["code_challenge"],
            "nonce": asked.get("nonce"),
            "person": dict(self.person),
            "until": time.time() + CODE_SECONDS,
        }
        return RedirectResponse(f"{self.redirect_uri}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        sent = await request.form()
        if not self._authenticated(request):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        issued = self._codes.pop(str(sent.get("code")), None)
        verifier = str(sent.get("code_verifier", ""))
        fits = (
            issued is not None
            and sent.get("grant_type") == "authorization_code"
            and sent.get("redirect_uri") == self.redirect_uri
            and issued["until"] > time.time()
            and encoded(hashlib.sha256(verifier.encode()).digest()) == issued["challenge"]
        )
        if issued is None or not fits:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        return JSONResponse(
            {
                "access_token": secrets.token_urlsafe(24),
                "token_type": "Bearer",
                "expires_in": TOKEN_SECONDS,
                "id_token": self._id_token(issued),
            },
            headers={"cache-control": "no-store"},
        )

    def _authenticated(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            return scheme == "Basic" and b64decode(given).decode() == f"{self.client_id}:{self.client_secret}"
        except ValueError:
            return False

    def _id_token(self, issued: dict[str, Any]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": self.client_id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "nonce": issued["nonce"],
        } | issued["person"]
        lies = {name: value for name, value in self.lies.items() if name not in {"alg", "foreign_key", "issuer"}}
        key = self._foreign if self.lies.get("foreign_key") else self._key
        return key.signed(claims | lies, alg=self.lies.get("alg", "RS256"))

    async def _set_person(self, request: Request) -> Response:
        self.person = await request.json()
        return Response(status_code=204)

    async def _set_lies(self, request: Request) -> Response:
        self.lies = await request.json()
        return Response(status_code=204)


async def start(provider: Provider, *, host: str = "127.0.0.1", port: int = 0) -> Running:
    """Serve a provider; its issuer is where it listens."""
    running = await serve(provider.app(), host, port)
    provider.url = running.url
    return running
