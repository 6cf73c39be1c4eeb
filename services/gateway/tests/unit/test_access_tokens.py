"""Tokens that were verified before: for how long what is known of them is used."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from common.auth.internal_token import new_key, public_part
from common.ids import uuid7
from gateway.errors import TokenInvalid
from gateway.proxy import access_tokens
from gateway.proxy.access_tokens import REMEMBERED_SECONDS, AccessTokens, KeySet
from joserfc import jwt
from joserfc.jwk import OKPKey

pytestmark = pytest.mark.unit
SIGNED_AT = 1_800_000_000


class Tenancy:
    """Signs tokens, publishes keys, and is asked how often."""

    def __init__(self) -> None:
        self.key = new_key("one")
        self.published = [self.key]
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def key_set(self) -> Mapping[str, Any]:
        self.asked += 1
        await self.answers.wait()
        return {"keys": [public_part(key) for key in self.published]}

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


def gate(tenancy: Tenancy, clock: Clock, *, lifetime: float = 3600.0) -> AccessTokens:
    return AccessTokens(KeySet(tenancy.key_set, lifetime), issuer="tenancy", audience="gateway", now=clock)


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


@pytest.fixture
def asked_at_will(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "ASK_AGAIN_SECONDS", 0.0)


@pytest.mark.usefixtures("asked_at_will")
@pytest.mark.invariant("S55")
async def test_what_a_withdrawn_key_signed_is_refused_although_it_is_remembered() -> None:
    """Its thief makes tokens of whomever he likes: they end with the key set's lifetime, whoever else signs in or not."""
    tenancy, clock = Tenancy(), Clock()
    tokens, token = gate(tenancy, clock, lifetime=0.0), tenancy.token(lives=600)
    await tokens.verify(token)
    assert await tokens.verify(token)
    tenancy.published = [new_key("two")]
    with pytest.raises(TokenInvalid):
        await tokens.verify(token)
    with pytest.raises(TokenInvalid):
        await tokens.verify(tenancy.token(lives=500))


@pytest.mark.usefixtures("asked_at_will")
async def test_while_tenancy_is_silent_about_its_keys_one_request_waits_and_no_other() -> None:
    tenancy, clock = Tenancy(), Clock()
    tokens, token = gate(tenancy, clock, lifetime=0.0), tenancy.token(lives=600)
    await tokens.verify(token)
    tenancy.answers.clear()
    asking = asyncio.create_task(tokens.verify(token))
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        for _ in range(3):
            await tokens.verify(token)
    assert not asking.done()
    tenancy.answers.set()
    assert await asking
