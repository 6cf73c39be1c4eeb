"""What it costs the gateway to know whose a token is, beside the bare Ed25519 verification that it cannot do without.

Each access token is another one, so none of them is remembered at its first check; the second check of the same tokens
is what the gateway does for the minute after that. Both in one thread, without a socket.
"""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from common.auth.internal_token import new_key, public_part
from common.ids import uuid7
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from gateway.errors import TokenInvalid
from gateway.proxy.access_tokens import ALGORITHM, AccessTokens, KeySet
from joserfc import jwt
from joserfc.jwk import OKPKey

from devstack.bench.figures import TOKEN_CHECK
from devstack.bench.measuring import Say, Sizes, interleaved
from devstack.bench.report import Bar

LIFETIME_SECONDS = 600
KEY_SET_SECONDS = 3600.0


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Check tokens, and only their signatures."""
    return [asyncio.run(token_check(sizes, say))]


async def token_check(sizes: Sizes, say: Say) -> Bar:
    """Compare the first check of so many tokens with the bare verification of their signatures.

    Raises:
        AssertionError: a token that somebody altered was let through.
    """
    key = new_key("bench")
    count = max(2, sizes.requests // 4)
    say(f"checking {count} tokens")
    signing = OKPKey.import_key(dict(key))
    tokens = [_token(signing) for _ in range(count)]
    bare = _bare(public_part(key))
    again: list[float] = []

    async def key_set() -> Mapping[str, Any]:
        return {"keys": [public_part(key)]}

    async def ours() -> float:
        checks = AccessTokens(KeySet(key_set, KEY_SET_SECONDS), issuer="tenancy", audience="gateway")
        await _refuses(checks, tokens[0])
        first = await _each(checks.verify, tokens)
        again.append(await _each(checks.verify, tokens))
        return first

    async def peer() -> float:
        began = time.perf_counter()
        for token in tokens:
            bare(token)
        return (time.perf_counter() - began) / count

    pairs = await interleaved(ours, peer, sizes.pairs)
    first, alone = (median(pair[side] for pair in pairs) for side in (0, 1))
    return replace(
        TOKEN_CHECK,
        value=median(left / right for left, right in pairs),
        peer=f"Ed25519 by the same library, {alone * 1e6:.0f} µs",
        limiting_stage="Ed25519",
        note=f"first check of a token {first * 1e6:.0f} µs, each for a minute after it {median(again) * 1e6:.1f} µs",
    )


async def _each(verify: Callable[[str], Awaitable[object]], tokens: list[str]) -> float:
    """Return the seconds that one check takes, on average."""
    began = time.perf_counter()
    for token in tokens:
        await verify(token)
    return (time.perf_counter() - began) / len(tokens)


def _bare(public: Mapping[str, Any]) -> Callable[[str], None]:
    key = Ed25519PublicKey.from_public_bytes(_decoded(public["x"]))

    def verify(token: str) -> None:
        signed, _, signature = token.rpartition(".")
        key.verify(_decoded(signature), signed.encode())

    return verify


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _token(key: OKPKey) -> str:
    """An access token as tenancy signs it."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "tenancy",
        "aud": "gateway",
        "sub": str(uuid7()),
        "sid": str(uuid7()),
        "jti": str(uuid7()),
    }
    claims |= {"tenant": str(uuid7()), "roles": ["owner"], "staff": []}
    lasting = {"iat": now, "nbf": now, "exp": now + LIFETIME_SECONDS}
    return jwt.encode({"alg": ALGORITHM, "kid": str(key.kid)}, claims | lasting, key, algorithms=[ALGORITHM])


async def _refuses(checks: AccessTokens, token: str) -> None:
    """Make sure that what is measured checks signatures."""
    head, claims, signature = token.split(".")
    altered = f"{head}.{claims}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    try:
        await checks.verify(altered)
    except TokenInvalid:
        return
    raise AssertionError("an altered token was let through")
