"""What a sealed link says, and what opens nothing."""

import base64
import json
from dataclasses import replace

import pytest
from common.auth.internal_token import new_key
from common.ids import uuid7
from gateway.errors import DownloadLinkOver
from gateway.proxy.download_links import LONGEST_TOKEN, DownloadLinks, Grant, Kind
from joserfc import jwt
from joserfc.jwk import OKPKey

KEY = new_key("one")
PATH = f"/api/tenants/invoices/{uuid7()}/download/"


@pytest.fixture
def clock() -> list[float]:
    return [1_000_000.0]


@pytest.fixture
def links(clock: list[float]) -> DownloadLinks:
    return DownloadLinks(KEY, lambda: clock[0])


def granted(links: DownloadLinks, kind: Kind, **said) -> Grant:
    return Grant(PATH, uuid7(), uuid7(), uuid7(), expires_at=links.expiry(kind), **said)


@pytest.mark.parametrize("kind", Kind)
def test_another_replica_reads_what_one_sealed_and_nobody_else_does(links: DownloadLinks, kind: Kind, clock) -> None:
    by_person = granted(links, kind, etag='"é.1"')
    by_key = Grant(PATH, uuid7(), uuid7(), None, "a" * 64, None, links.expiry(kind))
    other = DownloadLinks(KEY, lambda: clock[0])
    for grant in (by_person, by_key, replace(by_person, tenant_id=None)):
        token = links.seal(kind, grant)
        assert other.open(token) == (kind, grant)
        assert len(token) < LONGEST_TOKEN
        assert token.replace("-", "").replace("_", "").isalnum()
        raw = base64.urlsafe_b64decode(token[1:] + "==")
        assert not any(str(said).encode() in raw for said in (grant.user_id, grant.session_id, PATH) if said)


@pytest.mark.invariant("S80")
@pytest.mark.parametrize(("kind", "seconds"), [(Kind.START, 60), (Kind.FOLLOW, 12 * 3600)])
def test_a_link_ends_in_time(links: DownloadLinks, clock, kind: Kind, seconds: int) -> None:
    token = links.seal(kind, granted(links, kind))
    clock[0] += seconds - 1
    assert links.open(token)[0] is kind
    clock[0] += 1
    with pytest.raises(DownloadLinkOver):
        links.open(token)


@pytest.mark.invariant("S80")
def test_no_byte_of_a_link_can_be_another(links: DownloadLinks) -> None:
    token = links.seal(Kind.START, granted(links, Kind.START))
    sealed = base64.urlsafe_b64decode(token[1:] + "=" * (-len(token[1:]) % 4))
    for place in range(len(sealed)):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(DownloadLinkOver):
            links.open("s" + base64.urlsafe_b64encode(altered).decode().rstrip("="))
    for cut in (1, 13, 30, len(sealed) - 1):
        with pytest.raises(DownloadLinkOver):
            links.open("s" + base64.urlsafe_b64encode(sealed[:cut]).decode().rstrip("="))


@pytest.mark.invariant("S80")
def test_a_link_to_begin_cannot_be_made_one_that_lasts(links: DownloadLinks) -> None:
    token = links.seal(Kind.START, granted(links, Kind.START))
    for kind in ("f", "S", "x", ""):
        with pytest.raises(DownloadLinkOver):
            links.open(kind + token[1:])


@pytest.mark.invariant("S80")
def test_no_other_token_is_a_link_whoever_signed_it(links: DownloadLinks) -> None:
    claims = {"iss": "gateway", "aud": "gateway", "sub": str(uuid7()), "pth": PATH, "exp": 1 << 40}
    signed = jwt.encode({"alg": "EdDSA", "kid": "one"}, claims, OKPKey.import_key(KEY), algorithms=["EdDSA"])
    head, body = (
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({"alg": "none"}, claims)
    )
    elsewhere = DownloadLinks(new_key("one"))
    forged = [
        signed,
        f"{head}.{body}.",
        "",
        "s",
        "sAAAA",
        "s" + "A" * 400,
        "s" * (LONGEST_TOKEN + 1),
        "s=",
        "sé",
        "ebm_" + "a" * 49,
    ]
    forged += [mark + token for mark in "sf" for token in forged]
    forged += [elsewhere.seal(kind, granted(elsewhere, kind)) for kind in Kind]
    for token in forged:
        with pytest.raises(DownloadLinkOver):
            links.open(token)
