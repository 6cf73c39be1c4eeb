"""That what is measured checks signatures, of tokens that it has not met before."""

import pytest
from devstack.bench.measuring import Sizes
from devstack.bench.token_check import token_check
from gateway.proxy.access_tokens import AccessTokens, Identity

pytestmark = pytest.mark.unit

SIZES = Sizes(requests=200, pairs=2)


async def test_a_first_check_costs_more_than_its_signature_and_less_than_ten():
    bar = await token_check(SIZES, lambda _text: None)
    assert 1 < bar.value < 10
    assert "µs" in bar.note


async def test_each_token_is_verified_once_in_a_round(monkeypatch):
    verified = []
    really = AccessTokens._verified

    async def noted(self, token, *rest):
        verified.append(token)
        return await really(self, token, *rest)

    monkeypatch.setattr(AccessTokens, "_verified", noted)
    await token_check(SIZES, lambda _text: None)
    altered = 1
    assert len(verified) == SIZES.pairs * (SIZES.requests // 4 + altered)


async def test_a_check_that_lets_an_altered_token_through_is_not_measured(monkeypatch):
    async def anybody(_self, _token, *_rest):
        return Identity(None, None, None, frozenset(), frozenset(), 2**40)

    monkeypatch.setattr(AccessTokens, "_verified", anybody)
    with pytest.raises(AssertionError, match="altered"):
        await token_check(SIZES, lambda _text: None)
