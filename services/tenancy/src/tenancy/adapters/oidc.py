"""OpenID Connect (https://openid.net/specs/openid-connect-core-1_0.html), authorization code with PKCE, by authlib.

What a provider sends is believed only after its own keys have signed it for us, now, and for this very sign-in.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core.claims import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tenancy.domain.sso import Asserted, Connection
from tenancy.errors import ProviderUnavailable, SsoRefused

ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
"""Signatures by a provider's private key; never `none`, never a shared secret."""

LEEWAY_SECONDS = 60
LARGEST_ANSWER = 256 * 1024
"""Bytes that are read of an answer: whose provider it is may have any reason to send more."""

SECONDS = 10.0
"""Patience with a provider, for the whole of each of its answers."""


class OidcProviders:
    """Speaks to the providers that organizations name.

    Args:
        transport: makes the way to reach one, which is closed after use; see `public_addresses`.
    """

    def __init__(self, transport: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._transport = transport

    async def authorization_url(
        self, connection: Connection, *, state: str, nonce: str, verifier: str, redirect_uri: str
    ) -> str:
        """Where the browser signs in.

        Raises:
            ProviderUnavailable: the provider does not answer, or describes itself as another.
        """
        async with self._client() as client:
            described = await self._described(client, connection)
        url: str = prepare_grant_uri(  # type: ignore[no-untyped-call]
            described["authorization_endpoint"],
            connection.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope="openid email profile",
            state=state,
            nonce=nonce,
            code_challenge=_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    async def exchange(
        self, connection: Connection, *, code: str, nonce: str, verifier: str, redirect_uri: str
    ) -> Asserted:
        """What the provider says about whoever brought the code.

        Raises:
            SsoRefused: the provider refuses the code, or its word is not for us, not now, or not its own.
            ProviderUnavailable: it does not answer.
        """
        async with self._client() as client:
            described = await self._described(client, connection)
            answer = await _document(
                client,
                "POST",
                described["token_endpoint"],
                data={
                    "grant_type": "authorization_code",
                    "code": code,
                    "redirect_uri": redirect_uri,
                    "code_verifier": verifier,
                },
                auth=(connection.client_id, connection.client_secret),
            )
            keys = await _document(client, "GET", described["jwks_uri"])
        return _asserted(connection, str(answer.get("id_token", "")), keys, nonce)

    def _client(self) -> httpx.AsyncClient:
        # Nothing compressed: what is small on the wire shall not be large in memory.
        headers = {"accept": "application/json", "accept-encoding": "identity"}
        return httpx.AsyncClient(
            transport=self._transport(), headers=headers, timeout=SECONDS, follow_redirects=False, trust_env=False
        )

    async def _described(self, client: httpx.AsyncClient, connection: Connection) -> Mapping[str, Any]:
        url = connection.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            described = await _document(client, "GET", url)
            if described["issuer"] != connection.issuer:
                raise ProviderUnavailable(issuer=connection.issuer)
            return {name: str(described[name]) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        except (KeyError, SsoRefused) as error:
            raise ProviderUnavailable(issuer=connection.issuer) from error


async def _document(client: httpx.AsyncClient, method: str, url: str, **more: Any) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(SECONDS), client.stream(method, url, **more) as answer:
            if answer.status_code in {400, 401, 403}:
                raise SsoRefused
            document = json.loads(await _body(answer)) if answer.status_code == 200 else None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError) as error:
        raise ProviderUnavailable(issuer="") from error
    if not isinstance(document, dict):
        raise ProviderUnavailable(issuer="")
    return document


async def _body(answer: httpx.Response) -> bytes:
    body = b""
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise ValueError("the answer has no end")
    return body


def _challenge(verifier: str) -> str:
    challenge: str = create_s256_code_challenge(verifier)  # type: ignore[no-untyped-call]
    return challenge


def _asserted(connection: Connection, id_token: str, keys: Mapping[str, Any], nonce: str) -> Asserted:
    try:
        decoded = jwt.decode(id_token, KeySet.import_key_set(dict(keys)), algorithms=ALGORITHMS)  # type: ignore[arg-type]
        options: Any = {
            "iss": {"essential": True, "value": connection.issuer},
            "aud": {"essential": True, "value": connection.client_id},
            "exp": {"essential": True},
            "sub": {"essential": True},
            "nonce": {"essential": True},
        }
        params = {"nonce": nonce, "client_id": connection.client_id}
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        claims.validate(now=int(time.time()), leeway=LEEWAY_SECONDS)  # type: ignore[no-untyped-call]
        email = claims.get("email")
        return Asserted(
            issuer=connection.issuer,
            subject=str(claims["sub"])[:255],
            email=email if isinstance(email, str) else None,
            email_verified=claims.get("email_verified") is True,
            full_name=str(claims.get("name") or ""),
        )
    except (JoseError, AuthlibBaseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SsoRefused from error
