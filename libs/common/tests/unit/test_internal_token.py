"""The gateway's token: for one service, one request, one minute."""

import base64
import dataclasses
import json
import time
import warnings
from uuid import UUID

import pytest
from common.auth.errors import InvalidInternalToken
from common.auth.internal_token import (
    Claims,
    InternalTokenSigner,
    InternalTokenVerifier,
    RequestBinding,
    new_key,
    public_part,
)
from common.ids import uuid7
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import OctKey, OKPKey


def packed(part: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


KEY, OTHER = new_key("one"), new_key("two")
BINDING = RequestBinding("POST", "/api/backup-jobs/?x=1", "17")
CLAIMS = Claims(
    uuid7(), UUID("01a20323-e175-7195-be47-8bad23742fee"), frozenset({"owner"}), frozenset(), uuid7(), "request-1"
)
SIGNER = InternalTokenSigner(KEY)
VERIFIER = InternalTokenVerifier([public_part(KEY)], "billing")
TENANT = str(CLAIMS.tenant_id)


def test_a_token_says_what_was_signed() -> None:
    assert VERIFIER.verify(SIGNER.sign("billing", CLAIMS, BINDING), BINDING, TENANT) == CLAIMS


@pytest.mark.invariant("S64")
@pytest.mark.parametrize(
    ("change", "value"), [("method", "GET"), ("path", "/api/backup-jobs/"), ("length", "18"), ("length", "chunked")]
)
def test_a_token_for_another_request_is_refused(change: str, value: str) -> None:
    token = SIGNER.sign("billing", CLAIMS, BINDING)
    with pytest.raises(InvalidInternalToken):
        VERIFIER.verify(token, dataclasses.replace(BINDING, **{change: value}), TENANT)


@pytest.mark.invariant("S64")
def test_a_token_for_another_service_is_refused() -> None:
    with pytest.raises(InvalidInternalToken):
        VERIFIER.verify(SIGNER.sign("tenancy", CLAIMS, BINDING), BINDING, TENANT)


@pytest.mark.invariant("S64")
@pytest.mark.parametrize("header", [None, "", "01a20323-e175-7195-be47-8bad23742fff", TENANT.upper()])
def test_a_tenant_header_that_differs_from_the_token_is_refused(header: str | None) -> None:
    with pytest.raises(InvalidInternalToken):
        VERIFIER.verify(SIGNER.sign("billing", CLAIMS, BINDING), BINDING, header)


@pytest.mark.invariant("S64")
@pytest.mark.parametrize("age", [60, 61, 3600, -30])
def test_a_token_lives_sixty_seconds(age: int) -> None:
    now = time.time()
    token = SIGNER.sign("billing", CLAIMS, BINDING, now=now - age)
    with pytest.raises(InvalidInternalToken):
        VERIFIER.verify(token, BINDING, TENANT, now=now)
    assert VERIFIER.verify(SIGNER.sign("billing", CLAIMS, BINDING, now=now - 59), BINDING, TENANT, now=now)


@pytest.mark.invariant("S64")
def test_no_token_lives_longer_whatever_it_says() -> None:
    issued = int(time.time())
    said = jwt.decode(
        SIGNER.sign("billing", CLAIMS, BINDING, now=issued), OKPKey.import_key(KEY), algorithms=["EdDSA"]
    ).claims
    token = jwt.encode(
        {"alg": "EdDSA", "kid": "one"}, said | {"exp": issued + 61}, OKPKey.import_key(KEY), algorithms=["EdDSA"]
    )
    with pytest.raises(InvalidInternalToken):
        VERIFIER.verify(token, BINDING, TENANT, now=issued)


@pytest.mark.invariant("S63")
def test_tokens_that_the_gateway_did_not_sign_are_refused() -> None:
    payload = {
        "iss": "gateway",
        "aud": "billing",
        "iat": int(time.time()),
        "exp": int(time.time()) + 60,
        "sub": str(uuid7()),
        "tenant": TENANT,
        "roles": ["owner"],
        "staff": ["admin"],
        "sid": "",
        "rid": "",
        "mth": BINDING.method,
        "pth": BINDING.path,
        "len": BINDING.length,
    }
    warnings.simplefilter("ignore", SecurityWarning)  # the attacker does not heed it
    confused = OctKey.import_key(str(public_part(KEY)["x"]))
    forged = [
        "",
        "nonsense",
        "a.b.c",
        InternalTokenSigner(OTHER | {"kid": "one"}).sign("billing", CLAIMS, BINDING),
        InternalTokenSigner(OTHER).sign("billing", CLAIMS, BINDING),
        f"{packed({'alg': 'none'})}.{packed(payload)}.",
        f"{packed({'alg': 'none', 'kid': 'one'})}.{packed(payload)}.{packed({})}",
        jwt.encode({"alg": "HS256", "kid": "one"}, payload, confused, algorithms=["HS256"]),
        jwt.encode({"alg": "EdDSA", "kid": "../../one"}, payload, OKPKey.import_key(OTHER), algorithms=["EdDSA"]),
        jwt.encode(
            {"alg": "EdDSA", "kid": "one"},
            payload | {"exp": payload["exp"] + 600},
            OKPKey.import_key(KEY),
            algorithms=["EdDSA"],
        ),
        jwt.encode({"alg": "EdDSA", "kid": "one"}, {"iss": "gateway"}, OKPKey.import_key(KEY), algorithms=["EdDSA"]),
    ]
    for token in forged:
        with pytest.raises(InvalidInternalToken):
            VERIFIER.verify(token, BINDING, TENANT)


def test_during_a_rotation_two_keys_are_accepted() -> None:
    both = InternalTokenVerifier([public_part(KEY), public_part(OTHER)], "billing")
    for key in (KEY, OTHER):
        assert both.verify(InternalTokenSigner(key).sign("billing", CLAIMS, BINDING), BINDING, TENANT) == CLAIMS
