"""Tokens that were verified before: for how long what is known of them is used."""

from collections.abc import Mapping
from typing import Any

import pytest
from common.auth.internal_token import new_key, public_part
from common.ids import uuid7
from gateway.errors import TokenInvalid
from gateway.proxy.access_tokens import REMEMBERED_SECONDS, AccessTokens, KeySet
from joserfc import jwt
from joserfc.jwk import OKPKey

pytestmark = pytest.mark.unit
SIGNED_AT = 1_800_000_000


class Tenancy:
    """Signs tokens, publishes keys, and is asked how often."""

    def __init__(self) -> None:
        self.key = new_key("one")
        self.asked = 0

    async def key_set(self) -> Mapping[str, Any]:
        self.asked += 1
        return {"keys": [public_part(self.key)]}

    def token(self, *, lives: int) -> str:
        claims = {"iss": "tenancy", "aud": "gateway", "sub": str(uuid7()), "sid": str(uuid7()), "tenant": None}
        claims |= {"roles": [], "staff": [], "iat": SIGNED_AT, "nbf": SIGNED_AT, "exp": SIGNED_AT + lives}
        header = {"alg": "EdDSA", "kid": "one"}
        return jwt.encode(header, claims, OKPKey.import_key(self.key), algorithms=["EdDSA"])


class Clock:
    def __init__(self) -> None:
        self.time = float(SIGNED_AT)

    def __call__(self) -> float:
        return self.time


def gate(tenancy: Tenancy, clock: Clock) -> AccessTokens:
    return AccessTokens(KeySet(tenancy.key_set, 3600.0), issuer="tenancy", audience="gateway", now=clock)


@pytest.mark.invariant("S55")
async def test_a_remembered_token_ends_with_its_second() -> None:
    tenancy, clock = Tenancy(), Clock()
    tokens, token = gate(tenancy, clock), tenancy.token(lives=30)
    known = await tokens.verify(token)
    clock.time += 29.5
    assert await tokens.verify(token) is known
    clock.time += 0.5
    assert clock.time - SIGNED_AT < REMEMBERED_SECONDS
    with pytest.raises(TokenInvalid):
        await tokens.verify(token)


@pytest.mark.invariant("S55")
async def test_what_is_known_of_a_token_is_looked_at_anew_after_its_time() -> None:
    tenancy, clock = Tenancy(), Clock()
    tokens, token = gate(tenancy, clock), tenancy.token(lives=600)
    known = await tokens.verify(token)
    clock.time += REMEMBERED_SECONDS
    again = await tokens.verify(token)
    assert again is not known
    assert again == known
