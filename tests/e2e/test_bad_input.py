"""Every operation of the merged API document, asked wrongly: bodies, ids, methods, tokens.

An operation that the document gains has to be given a body in `BODIES` and its ids in `devstack.premises`, or the tests
here fail.
"""

import base64
import json
import re
from typing import Any
from uuid import uuid4

import pytest
from devstack.customer import JSON, Customer
from devstack.premises import House
from devstack.refusals import reduced, refused, unchanged
from joserfc import jwt
from joserfc.jwk import OKPKey

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

SERVERS, ORDERS = "/api/esxi-servers/", "/api/tenants/orders/"
AS_JSON = {"content-type": "application/json"}

NOBODYS = str(uuid4())
BODIES: dict[str, JSON] = {
    "POST /api/admin/bank-statement-lines/{line_id}/approve/": {"note": "checked"},
    "POST /api/admin/bank-statement-lines/{line_id}/dismiss/": {"note": "checked"},
    "POST /api/admin/bank-statement-lines/{line_id}/propose/": {"note": "checked", "payment_id": "{payment_id}"},
    "POST /api/admin/bank-statement-lines/{line_id}/release/": {"note": "checked"},
    "POST /api/admin/orders/{order_id}/transfers/": {"amount": "25000", "reason": "an attempt"},
    "PATCH /api/admin/organizations/{organization_id}/entitlements/": {"reason": "an attempt"},
    "POST /api/admin/organizations/{organization_id}/plan/": {
        "plan_id": 1,
        "billing_cycle": "monthly",
        "reason": "an attempt",
    },
    "POST /api/admin/organizations/{organization_id}/reactivate/": {"reason": "an attempt"},
    "POST /api/admin/organizations/{organization_id}/suspend/": {"reason": "an attempt"},
    "POST /api/admin/organizations/{organization_id}/impersonations/": {"reason": "an attempt to help", "minutes": 5},
    "PATCH /api/admin/plans/{plan_id}/": {"trial_days": 0, "reason": "an attempt"},
    "POST /api/admin/cases/{case_id}/close/": {"reason": "an attempt"},
    "POST /api/admin/payments/{payment_id}/refunds/": {"reason": "an attempt"},
    "POST /api/admin/disputes/{dispute_id}/lift/": {"reason": "an attempt"},
    "POST /api/admin/refunds/{refund_id}/approve/": {"reason": "an attempt"},
    "POST /api/admin/refunds/{refund_id}/record/": {"reference": "VIR-1", "reason": "an attempt"},
    "POST /api/admin/refunds/{refund_id}/reject/": {"reason": "an attempt"},
    "POST /api/admin/unmatched-movements/{provider}/{reference}/close/": {"reason": "an attempt"},
    "POST /api/admin/coupons/{code}/switch/": {"is_active": False, "reason": "an attempt"},
    "POST /api/admin/coupons/": {"code": "ESSAI", "percent": "10", "reason": "an attempt"},
    "POST /api/auth/email/": {"email": "b@xyz.example", "password": "not his password"},
    "POST /api/auth/email/confirm/": {"token": "0123456789012345678901234567890123456789012"},
    "POST /api/auth/login/second-factor/": {
        "challenge": "0123456789012345678901234567890123456789012",
        "totp_code": "000000",
    },
    "POST /api/auth/passkeys/": {"challenge_id": NOBODYS, "name": "Clé", "credential": {"id": "x"}},
    "POST /api/auth/passkeys/login/": {"challenge_id": NOBODYS, "credential": {"id": "x"}},
    "POST /api/auth/passkeys/options/": {"password": "not his password"},
    "PATCH /api/auth/passkeys/{passkey_id}/": {"name": "Une autre clé"},
    "POST /api/auth/password-reset/": {"email": "a@xyz.example"},
    "POST /api/auth/password-reset/confirm/": {
        "token": "0123456789012345678901234567890123456789012",
        "password": "correct horse battery",
    },
    "POST /api/auth/password/": {"current_password": "not his password", "password": "correct horse battery"},
    "POST /api/auth/second-factor/": {"totp_code": "000000"},
    "POST /api/auth/sso/": {"email": "a@xyz.example"},
    "POST /api/auth/sso/callback/": {"code": "x", "state": "x" * 43, "login_token": "x" * 43},
    "POST /api/auth/totp/": {"password": "not his password"},
    "POST /api/auth/totp/confirm/": {"totp_code": "000000"},
    "POST /api/auth/totp/disable/": {"password": "not his password", "totp_code": "000000"},
    "POST /api/auth/totp/recovery-codes/": {"totp_code": "000000"},
    "PATCH /api/auth/user/": {"full_name": "Un autre nom"},
    "POST /api/auth/verify-email/resend/": {"email": "a@xyz.example"},
    "POST /api/tenants/api-keys/": {"name": "Programme", "scopes": ["backups:read"]},
    "POST /api/tenants/webhook-endpoints/": {"url": "https://hooks.xyz.example/in", "event_types": ["backup.*"]},
    "PATCH /api/tenants/webhook-endpoints/{endpoint_id}/": {"description": "Une autre"},
    "POST /api/tenants/webhook-endpoints/{endpoint_id}/replay_failed/": {"since": "2026-11-22T12:00:00Z"},
    "POST /api/tenants/webhook-endpoints/{endpoint_id}/rotate_secret/": {"overlap_hours": 1},
    "POST /api/tenants/organizations/{organization_id}/deletion/": {"confirmation": "un-autre-nom"},
    "PATCH /api/tenants/organizations/{organization_id}/members/{user_id}/": {"role": "viewer"},
    "PATCH /api/tenants/organizations/{organization_id}/settings/": {"name": "Un autre nom"},
    "POST /api/tenants/organizations/{organization_id}/transfer_ownership/": {"user_id": "{user_id}"},
    "POST /api/auth/login/": {"email": "a@xyz.example", "password": "not his password"},
    "POST /api/auth/refresh/": {"refresh_token": "0123456789012345678901234567890123456789012"},
    "POST /api/auth/register/": {"email": "new@xyz.example", "password": "correct horse battery", "full_name": "New"},
    "POST /api/auth/switch/": {"organization_id": "{organization_id}"},
    "POST /api/auth/verify-email/": {"token": "0123456789012345678901234567890123456789012"},
    "POST /api/backup-configs/": {"name": "Une autre", "server_id": "{server_id}", "vm_ids": ["{vm_id}"]},
    "PATCH /api/backup-configs/{configuration_id}/": {"name": "Un autre nom"},
    "POST /api/backup-jobs/": {"vm_id": "{vm_id}"},
    "POST /api/esxi-servers/": {"hostname": "esxi.invalid", "username": "root", "password": "secret"},
    "PATCH /api/esxi-servers/{server_id}/": {"is_active": False},
    "POST /api/restore/disk/": {"restore_point_id": "{point_id}"},
    "POST /api/restore/vm/": {"restore_point_id": "{point_id}", "server_id": "{server_id}", "name": "web-02"},
    "POST /api/tenants/coupons/validate/": {"code": "ESSAI", "plan_id": 1, "billing_cycle": "monthly"},
    "POST /api/tenants/orders/": {
        "plan_id": 2,
        "billing_cycle": "monthly",
        "customer_name": "Entreprise",
        "customer_email": "a@xyz.example",
        "organization_id": "{organization_id}",
    },
    "POST /api/tenants/orders/preview/": {"plan_id": 1, "billing_cycle": "monthly", "currency": "EUR"},
    "POST /api/tenants/orders/{order_id}/initiate_payment/": {"payment_method_id": 3, "order_id": "{order_id}"},
    "POST /api/tenants/organizations/{organization_id}/invite_member/": {"email": "b@xyz.example", "role": "viewer"},
    "PUT /api/tenants/organizations/{organization_id}/sign-in-rules/": {
        "second_factor_required": False,
        "sso_required": False,
    },
    "PUT /api/tenants/organizations/{organization_id}/sso/": {
        "issuer": "https://login.xyz.example",
        "client_id": "xyz",
        "client_secret": "a secret",
    },
    "POST /api/tenants/organizations/{organization_id}/sso/domains/": {"domain": "xyz.example"},
    "POST /api/tenants/payments/{payment_id}/verify_bank_transfer/": {"approve": True},
    "POST /api/tenants/subscription/auto_renew/": {"enabled": False},
    "POST /api/virtual-machines/{vm_id}/power/": {"action": "off"},
}
"""A body that is right, for every operation that takes JSON; ids by the name of their path parameter."""

FILES = {"POST /api/tenants/payments/{payment_id}/receipt/", "POST /api/admin/bank-statements/"}
"""Operations that take a file."""
NO_ONES = {
    "plan_id", "token", "code", "line_id", "case_id", "refund_id", "dispute_id", "provider", "reference", "domain",
}  # fmt: skip
"""Path parameters that name nothing that a customer could: plans, secrets, what only finance's desk knows of; and what
needs a zone of the DNS."""


def operations(document: JSON) -> list[tuple[str, str, JSON]]:
    """Return method, path and description of every operation of the API document."""
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def filled(template: Any, ids: dict[str, str]) -> Any:
    """Put ids into a path or body."""
    text = json.dumps(template)
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", value)
    return json.loads(text)


def request_of(method: str, path: str, ids: dict[str, str]) -> JSON:
    """Return the request that is right in all but whose ids it names; what restores is a job of its own kind."""
    if path.startswith("/api/restore/jobs/") and ids["job_id"] != "@":
        ids = ids | {"job_id": ids["restore_job_id"]}
    wanted: JSON = {"method": method, "url": filled(path, ids)}
    if f"{method} {path}" in FILES:
        wanted["files"] = {"file": ("recu.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")}
    elif (body := BODIES.get(f"{method} {path}")) is not None:
        wanted["json"] = filled(body, ids)
    return wanted


@pytest.fixture
async def document(endpoints) -> Any:
    async with Customer(endpoints["gateway"], "nobody@xyz.example", "") as anonymous:
        return await anonymous.get("/openapi.json")


def test_every_operation_that_takes_a_body_is_in_the_tests(document: JSON) -> None:
    taking = {f"{m} {p}" for m, p, operation in operations(document) if "requestBody" in operation}
    assert taking == {*BODIES, *FILES}


@pytest.mark.invariant("S8")
@pytest.mark.invariant("S9")
async def test_a_foreign_id_is_answered_as_a_missing_one_everywhere(
    houses: tuple[House, House], document: JSON, new_customer
) -> None:
    first, second = houses
    asked, different, found = 0, [], []
    homeless = await new_customer()
    async with first.browser() as owner, second.browser() as intruder, unchanged(owner, intruder, homeless):
        for method, path, operation in operations(document):
            names = set(re.findall(r"{(\w+)}", path + json.dumps(BODIES.get(f"{method} {path}")))) - NO_ONES
            if not names:
                continue
            assert names <= set(first.ids), f"{path}: the tests own nothing of that kind"
            for mine in ({}, {"server_id": second.ids["server_id"]} if names > {"server_id"} else {}):
                foreign = first.ids | mine
                missing = {name: str(uuid4()) for name in first.ids} | {"disk_key": first.ids["disk_key"]} | mine
                for who in (intruder, homeless):
                    answers = [
                        reduced(await who.http.request(**request_of(method, path, ids)), *ids.values())
                        for ids in (foreign, missing)
                    ]
                    asked += 1
                    if answers[0] != answers[1]:
                        different.append((method, path, who is intruder, answers))
                    allowed = {404} if who is intruder and operation["x-access"]["level"] != "staff" else {403, 404}
                    # Nobody of a plan without the feature is told more than that, whatever he asks for.
                    if "feature_not_in_plan" in answers[0][1]:
                        allowed = {403}
                    if answers[0][0] not in allowed:
                        found.append((method, path, who is intruder, answers[0]))
    assert different == []
    assert found == []
    assert asked > 60


@pytest.mark.invariant("S9")
async def test_a_list_asked_about_a_foreign_id_is_as_empty_as_about_a_missing_one(
    houses: tuple[House, House], document: JSON
) -> None:
    first, second = houses
    async with second.browser() as intruder:
        for method, path, operation in operations(document):
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query" and parameter["name"].endswith("_id"):
                    answers = []
                    for value in (first.ids[parameter["name"]], str(uuid4())):
                        answer = await intruder.http.request(method, path, params={parameter["name"]: value})
                        answers.append(reduced(answer, value))
                    assert answers[0] == answers[1], path
                    if operation["x-access"]["level"] == "staff":
                        assert answers[0][0] == 403, path
                    else:
                        assert json.loads(answers[0][1])["results"] == [], path


async def test_malformed_ids_are_problems(first: House, document: JSON) -> None:
    async with first.browser() as customer, unchanged(customer):
        for method, path, _operation in operations(document):
            for name in set(re.findall(r"{(\w+)}", path)):
                for wrong in ("x", "0" * 40, "%00", "..%2f..", "'or 1=1--", "9" * 30):
                    request = request_of(method, path, first.ids | {name: "@"})
                    request["url"] = request["url"].replace("@", wrong)
                    answer = await customer.http.request(**request)
                    assert 400 <= answer.status_code < 500, (method, request["url"], answer.text)
                    assert answer.headers["content-type"] == "application/problem+json"


WRONG_BODIES = {
    "no JSON": b"{",
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
    "no UTF-8": b"\xff\xfe",
    "nested too deep": b"[" * 50_000,
    "an unknown field": None,
    "NUL in a text": None,
    "another content type": None,
}


@pytest.mark.parametrize("kind", WRONG_BODIES)
async def test_malformed_bodies_are_problems_and_change_nothing(first: House, document: JSON, kind: str) -> None:
    async with first.browser() as customer, unchanged(customer):
        for method, path, _operation in operations(document):
            if f"{method} {path}" not in BODIES:
                continue
            request = request_of(method, path, first.ids)
            content, headers = WRONG_BODIES[kind], AS_JSON
            if kind == "an unknown field":
                content = json.dumps(request["json"] | {"surprise": 1}).encode()
            elif kind == "NUL in a text":
                content = json.dumps(dict.fromkeys(request["json"], "a\0b")).encode()
            elif kind == "another content type":
                content, headers = json.dumps(request["json"]).encode(), {"content-type": "text/plain"}
            answer = await customer.http.request(method, request["url"], content=content, headers=headers)
            assert answer.status_code in {400, 403, 415, 422}, (method, path, answer.status_code, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", path
            if kind == "an unknown field" and answer.status_code != 403:
                assert [error["field"] for error in answer.json()["errors"]] == ["body.surprise"], path


@pytest.mark.invariant("S68")
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_huge_body_is_refused(first: House, chunked: bool) -> None:
    async def pieces() -> Any:
        for _ in range(24):
            yield b" " * 65536

    async with first.browser() as customer, unchanged(customer):
        for path in (ORDERS, SERVERS, "/api/auth/login/"):
            content = pieces() if chunked else b" " * (24 * 65536)
            answer = await customer.http.post(path, content=content, headers=AS_JSON)
            assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large"), path


@pytest.mark.invariant("S68")
async def test_too_large_headers_and_addresses_are_refused(first: House) -> None:
    async with first.browser() as customer:
        await refused(customer, "GET", ORDERS, 413, "headers_too_large", headers={"x-a": "b" * 40_000})
        await refused(customer, "GET", ORDERS, 413, "headers_too_large", params={"cursor": "a" * 20_000})


async def test_wrong_methods_are_refused_with_those_that_are_right(first: House, document: JSON) -> None:
    async with first.browser() as customer, unchanged(customer):
        for path, item in document["paths"].items():
            url = request_of("GET", path, first.ids | {"plan_id": "1", "token": "x"})["url"]
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - {name.upper() for name in item}:
                await refused(customer, method, url, 405, "method_not_allowed")
                answer = await customer.http.request(method, url)
                assert set(answer.headers["allow"].split(", ")) == {name.upper() for name in item}, url


@pytest.mark.invariant("S65")
async def test_without_a_token_nothing_but_the_public_list_answers(first: House, document: JSON) -> None:
    anonymous = Customer(first.gateway, "nobody@xyz.example", "")
    async with anonymous, first.browser() as customer, unchanged(customer):
        for method, path, operation in operations(document):
            if operation["x-access"]["level"] != "public":
                request = request_of(method, path, first.ids | {"token": "x"})
                await refused(anonymous, request.pop("method"), request.pop("url"), 401, "token_missing", **request)


def _forged(token: str) -> dict[str, str]:
    """Return tokens that look like a good one and are not, by what is wrong with them."""
    head, payload, signature = token.split(".")
    claims = json.loads(_decoded(payload))
    header = json.loads(_decoded(head))
    key = OKPKey.generate_key("Ed25519", private=True)
    good = {"alg": "EdDSA", "kid": header["kid"]}
    changed = {**claims, "exp": int(claims["exp"]) + 3600}

    def plain(**fields: Any) -> str:
        return _encoded(json.dumps(header | fields).encode())

    return {
        "garbage": "garbage",
        "three dots": "...",
        "no signature": f"{head}.{payload}.",
        "signature cut": token[:-10],
        "signature of another": f"{head}.{payload}.{_encoded(b'0' * 64)}",
        "claims changed": f"{head}.{_encoded(json.dumps(changed).encode())}.{signature}",
        "alg none": f"{plain(alg='none')}.{payload}.",
        "alg HS256": f"{plain(alg='HS256')}.{payload}.{signature}",
        "key unknown": f"{plain(kid='unknown')}.{payload}.{signature}",
        "key of the sender": f"{plain(jwk=key.as_dict(private=False))}.{payload}.{signature}",
        "signed by another": jwt.encode(good, claims, key, algorithms=["EdDSA"]),
        "expired, signed by another": jwt.encode(good, {**claims, "exp": 1}, key, algorithms=["EdDSA"]),
        "not a letter of it": token.swapcase(),
        "huge": "a" * 9000,
    }


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


@pytest.mark.invariant("S55")
async def test_tokens_that_tenancy_did_not_sign_are_refused(first: House) -> None:
    for kind, token in _forged(first.token).items():
        async with first.browser(token=token) as customer:
            problem = await refused(customer, "GET", SERVERS, 401, "token_invalid")
            assert "/api/auth/refresh/" in problem["detail"], kind
    async with first.browser() as customer:
        refresh = (await customer.log_in())["refresh_token"]
        for header in (f"Bearer {refresh}", f"Bearer {first.token} {first.token}"):
            await refused(customer, "GET", SERVERS, 401, "token_invalid", headers={"authorization": header})
        for header in ("", "Bearer", "Basic eDp5", first.token, f"Token {first.token}"):
            await refused(customer, "GET", SERVERS, 401, "token_missing", headers={"authorization": header})


async def test_signing_in_and_up_wrongly_tells_nothing(first: House) -> None:
    async with Customer(first.gateway, first.email, "") as customer:
        for body in (
            {"email": first.email, "password": "not his password"},
            {"email": "nobody-at-all@xyz.example", "password": "not his password"},
        ):
            await refused(customer, "POST", "/api/auth/login/", 401, "wrong_credentials", json=body)
        for password in ("short", "password123", " " * 12):
            body = {"email": "new@xyz.example", "password": password, "full_name": "X"}
            answer = await customer.http.post("/api/auth/register/", json=body)
            assert answer.status_code == 422, answer.text
        await refused(
            customer, "POST", "/api/auth/refresh/", 401, "invalid_refresh_token", json={"refresh_token": "x" * 43}
        )
