"""Keys of access tokens: they follow each other without anybody noticing, or at once where one is known."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from common.auth.internal_token import new_key
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete, select
from tenancy.persistence.tables import signing_keys
from tenancy.testing import Tenancy
from tenancy.workflows.signing_keys import rotate, take_over

from .identity import session

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
async def no_keys_left(tenancy: Tenancy) -> AsyncIterator[None]:
    """Keys are nobody's: the next test would sign by them."""
    yield
    async with tenancy.store.for_system("auth") as uow:
        await uow.session.execute(delete(signing_keys))


def _header(token: str) -> str:
    """The key id that a token names."""
    encoded = token.partition(".")[0]
    return str(json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))["kid"])


async def valid(tenancy: Tenancy, token: str) -> bool:
    """Whether the published keys verify a token, its end apart."""
    published = (await tenancy.client(anonymous=True).get("/.well-known/jwks.json")).json()
    try:
        jwt.decode(token, KeySet.import_key_set(published), algorithms=["EdDSA"])
    except JoseError:
        return False
    return True


@pytest.mark.invariant("S55")
async def test_a_new_key_is_published_signs_later_and_the_old_one_stays_as_long_as_its_tokens(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    before = (await session(tenancy, person)).access_token
    made = await rotate(tenancy.tools, new_key, alone=False)
    await take_over(tenancy.tools)
    announced = (await session(tenancy, person)).access_token
    assert (_header(announced), await valid(tenancy, announced)) == (_header(before), True)
    published = (await tenancy.client(anonymous=True).get("/.well-known/jwks.json")).json()["keys"]
    assert {key["kid"] for key in published} == {_header(before), made.kid}
    assert not any("d" in key for key in published)
    tenancy.clock.advance(timedelta(minutes=3))
    after = (await session(tenancy, person)).access_token
    assert _header(after) == made.kid
    tenancy.clock.advance(timedelta(minutes=10))
    assert [await valid(tenancy, token) for token in (before, announced, after)] == [True, True, True]
    tenancy.clock.advance(timedelta(minutes=1))
    assert [await valid(tenancy, token) for token in (before, announced, after)] == [False, False, True]


@pytest.mark.invariant("S55")
async def test_where_a_key_is_known_to_others_its_tokens_are_refused_at_once(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    before = (await session(tenancy, person)).access_token
    await rotate(tenancy.tools, new_key, alone=False)
    made = await rotate(tenancy.tools, new_key, alone=True)
    await take_over(tenancy.tools)
    after = (await session(tenancy, person)).access_token
    assert _header(after) == made.kid
    assert (await valid(tenancy, before), await valid(tenancy, after)) == (False, True)
    published = (await tenancy.client(anonymous=True).get("/.well-known/jwks.json")).json()["keys"]
    assert [key["kid"] for key in published] == [made.kid]


@pytest.mark.invariant("S55")
async def test_keys_follow_each_other_for_a_year_and_no_token_is_ever_refused_early(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    for _month in range(4):
        await rotate(tenancy.tools, new_key, alone=False)
        for _step in range(6):
            await take_over(tenancy.tools)
            token = (await session(tenancy, person)).access_token
            tenancy.clock.advance(timedelta(minutes=2, seconds=59))
            await take_over(tenancy.tools)
            assert await valid(tenancy, token)
        tenancy.clock.advance(timedelta(days=90))
    async with tenancy.store.for_system("auth") as uow:
        assert len((await uow.session.execute(select(signing_keys))).all()) <= 2, "old keys are thrown away"


async def test_private_parts_are_sealed_at_rest(tenancy: Tenancy) -> None:
    made = await rotate(tenancy.tools, new_key, alone=False)
    async with tenancy.store.for_system("auth") as uow:
        (kept,) = await uow.session.scalars(select(signing_keys.c.sealed))
    assert made.jwk["d"].encode() not in kept
    assert made.jwk["d"] not in repr(made)
