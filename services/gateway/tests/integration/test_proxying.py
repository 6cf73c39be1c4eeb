"""What reaches a service, from whom, and what comes back, over real sockets."""

import asyncio
import hashlib
import json

import httpx
import pytest
from common.auth.internal_token import CHUNKED
from common.ids import uuid7
from common.testing import eventually
from gateway.testing import raw_exchange

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"
LOGIN = "/api/auth/login/"


async def test_a_signed_in_request_reaches_its_service_with_tenant_and_token(stack) -> None:
    tenant, user = uuid7(), uuid7()
    answer = await stack.client.get(
        JOBS + "?status=a%20b&x=1", headers=stack.tenancy.headers(tenant=tenant, sub=str(user))
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "service": "backup-engine",
        "user": str(user),
        "tenant": str(tenant),
        "roles": ["owner"],
        "bytes": 0,
    }
    (seen,) = stack.engine.seen
    assert seen.target == JOBS + "?status=a%20b&x=1"
    assert seen.values("x-tenant-id") == [str(tenant)]
    assert seen.values("x-request-id") == [answer.headers["x-request-id"]]


@pytest.mark.invariant("S65")
@pytest.mark.parametrize("path", [JOBS, "/api/auth/user/", "/api/tenants/orders/", "/api/tenants/organizations/"])
async def test_without_a_token_a_route_that_is_not_public_answers_401(stack, path: str) -> None:
    answer = await stack.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert not stack.engine.seen + stack.billing.seen + stack.tenancy.upstream.seen


@pytest.mark.invariant("S65")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/",
        "/api/nothing/",
        "/internal/sessions/" + "0" * 8,
        "/api/backup-jobs",
        "/metrics",
        "/api/tenants/organizations",
        "/api/tenants/organizations/x/members",
        "/api/internal/",
        "/webhooks/",
        "/webhooks/other/",
        "/API/backup-jobs/",
        "/api/tenants/plans/1/features/x/",
        "/api/backup-jobs/1/delete/",
        "/api/datastores/1/",
    ],
)
async def test_an_unlisted_path_is_404_with_or_without_a_token(stack, path: str) -> None:
    for headers in ({}, stack.tenancy.headers(tenant=uuid7())):
        answer = await stack.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert not stack.engine.seen + stack.billing.seen + stack.tenancy.upstream.seen


@pytest.mark.invariant("S65")
@pytest.mark.parametrize(
    "target",
    [
        "/api//backup-jobs/",
        "//api/backup-jobs/",
        "/api/backup-jobs/%2e%2e/secret",
        "/api/backup-jobs/../secret",
        "/api/backup-jobs/./x",
        "/api/backup-jobs/;x=1/",
        "/api/backup-jobs/%2Fx",
        "/api/backup-jobs/%5cx",
        "/api/backup-jobs/%252e/",
        "/api/backup-jobs/%00",
        "/api/backup-jobs\\x",
        "/api/backup-jobs/%zz",
        "/api/tenants/plans/..%2f..%2finternal/",
        "/api/backup-jobs/%3Bx",
    ],
)
async def test_path_tricks_have_no_route(stack, target: str) -> None:
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    request = f"GET {target} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\nconnection: close\r\n\r\n"
    status, _body, _all = await raw_exchange(stack.port, request.encode())
    assert status in {400, 404}
    assert not stack.engine.seen + stack.billing.seen + stack.tenancy.upstream.seen


async def test_a_method_that_is_not_listed_is_405_and_says_which_are(stack) -> None:
    answer = await stack.client.delete("/api/tenants/orders/")
    assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, POST",
    )
    assert answer.headers["content-language"] in {"fr", "en"}


async def test_public_routes_need_no_token_and_vouch_for_nobody(stack) -> None:
    headers = {"authorization": "Bearer nonsense"}
    answer = await stack.client.get("/api/tenants/plans/", headers=headers)
    assert answer.status_code == 200
    assert (answer.json()["user"], answer.json()["tenant"]) == (None, None)


SPELLINGS = [
    "X-Tenant-Id", "x-tenant-id", "X_Tenant_Id", "X.Tenant.Id", "x-TENANT_id", "X-Tenant.Id", "X-Internal-Token",
    "X_Internal_User", "X-Forwarded-User", "X.Forwarded.User", "X-Forwarded-For", "X-Org-Id", "X-Roles", "X-Request-Id",
    "X-Authenticated-User", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "Forwarded", "Remote-User",
    "Remote_User", "Internal-Token", "Tenant-Id", "Tenant_Id", "Cookie", "Authorization_", "X-Real-Ip", "Traceparent",
]  # fmt: skip


@pytest.mark.invariant("S62")
@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_internal_headers_of_a_client_never_arrive(stack, spelling: str) -> None:
    tenant = uuid7()
    token = stack.tenancy.headers(tenant=tenant)["authorization"]
    forged = f"forged-{uuid7()}"
    request = (
        f"GET {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n"
        f"{spelling}: {forged}\r\n{spelling.upper()}: {forged}\r\nconnection: close\r\n\r\n"
    )
    status, body, _all = await raw_exchange(stack.port, request.encode())
    assert (status, body["tenant"]) == (200, str(tenant))
    (seen,) = stack.engine.seen
    assert forged not in str(seen.headers)
    assert seen.values("x-tenant-id") == [str(tenant)]
    assert len(seen.values("authorization")) == 1
    assert len(seen.values("x-request-id")) == 1


@pytest.mark.invariant("S62")
async def test_a_tenant_header_without_a_tenant_in_the_token_gives_none(stack) -> None:
    user, session, victim = str(uuid7()), str(uuid7()), str(uuid7())
    stack.tenancy.sessions[session] = {"user": user, "tenant": None, "roles": [], "revoked": False}
    headers = stack.tenancy.headers(sub=user, sid=session) | {"X-Tenant-Id": victim}
    answer = await stack.client.get(JOBS, headers=headers)
    assert answer.json()["tenant"] is None
    assert stack.engine.seen[-1].values("x-tenant-id") == []


@pytest.mark.invariant("S62")
async def test_headers_named_by_connection_and_the_hop_by_hop_ones_stay_behind(stack) -> None:
    headers = stack.tenancy.headers(tenant=uuid7()) | {
        "Connection": "close, Idempotency-Key",
        "Idempotency-Key": "k",
        "TE": "trailers",
        "If-None-Match": '"e"',
    }
    await stack.client.get(JOBS, headers=headers)
    (seen,) = stack.engine.seen
    assert (seen.values("idempotency-key"), seen.values("te"), seen.values("if-none-match")) == ([], [], ['"e"'])


async def test_what_clients_may_say_arrives_untouched(stack) -> None:
    sent = {"Idempotency-Key": "abc", "Accept-Language": "en", "Range": "bytes=0-9", "Last-Event-ID": "7"}
    await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=uuid7()) | sent)
    (seen,) = stack.engine.seen
    assert {name: seen.values(name.lower()) for name in sent} == {name: [value] for name, value in sent.items()}


@pytest.mark.parametrize("sent", ["réclamation".encode(), "réclamation".encode("latin-1"), "Ω 中文".encode()])
async def test_letters_beyond_ascii_in_a_value_arrive_as_they_were_written(stack, sent: bytes) -> None:
    """French is written with accents: a reason in an audit log, a key that is compared with an earlier one."""
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    request = f"GET {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\nconnection: close\r\nx-reason: ".encode()
    status, _body, _all = await raw_exchange(stack.port, request + sent + b"\r\n\r\n")
    assert status == 200
    (seen,) = stack.engine.seen
    (value,) = seen.values("x-reason")
    assert value.encode("latin-1").decode() in {"réclamation", "Ω 中文"}


async def test_two_authorization_fields_are_as_none(stack) -> None:
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    request = f"GET {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\nauthorization: {token}\r\nconnection: close\r\n\r\n"
    status, body, _all = await raw_exchange(stack.port, request.encode())
    assert (status, body["code"]) == (401, "token_missing")


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "content-length: 4\r\ncontent-length: 5",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "content-length: +4",
    ],
)
async def test_ambiguous_framing_reaches_no_service(stack, framing: str) -> None:
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    request = (
        f"POST {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n{framing}\r\nconnection: close\r\n\r\n0\r\n\r\n"
    )
    status, _body, _all = await raw_exchange(stack.port, request.encode())
    assert status in {0, 400, 404}
    assert not stack.engine.seen


async def test_a_webhook_passes_byte_for_byte_with_its_own_headers(stack) -> None:
    body = b'{ "b":1,\t"a" : "\xc3\xa9\\u00e9" }\r\n'
    sent = {"PAYPAL-TRANSMISSION-SIG": "s", "PAYPAL-CERT-URL": "https://x", "Content-Type": "application/json"}
    answer = await stack.client.post("/webhooks/paypal/", content=body, headers=sent)
    assert answer.status_code == 200
    (seen,) = stack.billing.seen
    assert seen.body == body
    assert (seen.values("paypal-transmission-sig"), seen.values("paypal-cert-url")) == (["s"], ["https://x"])
    assert seen.claims is not None


@pytest.mark.invariant("S12")
async def test_the_token_in_a_callbacks_path_is_in_no_log(stack, log_lines) -> None:
    secret = f"tok-{uuid7().hex}"
    answer = await stack.client.put(f"/webhooks/mtn-momo/{secret}", json={"status": "SUCCESSFUL"})
    assert answer.status_code == 200
    assert stack.billing.seen[-1].target == f"/webhooks/mtn-momo/{secret}"
    await eventually(lambda: '"route": "/webhooks/mtn-momo/{token}"' in log_lines())
    assert secret not in log_lines()


@pytest.mark.invariant("S12")
async def test_the_access_log_names_the_tenant_and_the_request(stack, log_lines) -> None:
    tenant = uuid7()
    answer = await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=tenant) | {"x-tenant-id": "forged"})
    (line,) = await eventually(
        lambda: [line for line in map(json.loads, log_lines().splitlines()) if line.get("event") == "answered"]
    )
    assert (line["tenant_id"], line["correlation_id"]) == (str(tenant), answer.headers["x-request-id"])
    assert (line["route"], line["status"], line["service"]) == ("/api/backup-jobs/", 200, "gateway")


@pytest.mark.invariant("S68")
async def test_a_body_over_the_limit_is_refused_before_it_reaches_a_service(stack) -> None:
    answer = await stack.client.post(LOGIN, content=b"x" * (64 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"], answer.json()["limit_bytes"]) == (413, "body_too_large", 65536)
    assert not stack.tenancy.upstream.seen


@pytest.mark.invariant("S68")
async def test_a_body_that_says_that_it_is_too_large_is_not_waited_for(stack) -> None:
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    head = f"POST {JOBS} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: {(1 << 20) + 1}\r\n\r\n"
    status, body, _all = await raw_exchange(stack.port, head.encode())
    assert (status, body["code"]) == (413, "body_too_large")
    assert not stack.engine.seen


@pytest.mark.invariant("S68")
async def test_a_chunked_body_over_the_limit_is_cut_off(stack) -> None:
    async def endless():
        for _ in range(40):
            yield b"x" * 65536

    answer = await stack.client.post(JOBS, content=endless(), headers=stack.tenancy.headers(tenant=uuid7()))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert all(len(seen.body) <= 1 << 20 for seen in stack.engine.seen)


@pytest.mark.invariant("S68")
async def test_too_many_or_too_large_headers_and_targets_are_refused(stack) -> None:
    token = stack.tenancy.headers(tenant=uuid7())
    many = [(f"h-{i}", "v") for i in range(101)]
    answers = [
        await stack.client.get(JOBS, headers=httpx.Headers([*token.items(), *many])),
        await stack.client.get(JOBS, headers=token | {"accept": "x" * 40_000}),
        await stack.client.get(JOBS + "?q=" + "x" * 9000, headers=token),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(413, "headers_too_large")] * 3
    assert not stack.engine.seen


async def test_a_large_upload_streams_through_whole(stack) -> None:
    sent = bytes(range(256)) * 4096 * 10
    path = f"/api/tenants/payments/{uuid7()}/receipt/"
    answer = await stack.client.post(path, content=sent, headers=stack.tenancy.headers())
    assert answer.status_code == 401  # the session is not known, so nothing was forwarded
    headers = stack.tenancy.headers(tenant=uuid7())
    answer = await stack.client.post(path, content=sent, headers=headers)
    assert (answer.status_code, answer.json()["bytes"]) == (200, len(sent))
    assert hashlib.sha256(stack.billing.seen[-1].body).digest() == hashlib.sha256(sent).digest()


@pytest.mark.invariant("S64")
async def test_the_internal_token_is_bound_to_a_chunked_body(stack) -> None:
    async def pieces():
        yield b"a"
        yield b"b"

    answer = await stack.client.post(JOBS, content=pieces(), headers=stack.tenancy.headers(tenant=uuid7()))
    assert (answer.status_code, answer.json()["bytes"]) == (200, 2)
    assert stack.engine.seen[-1].values("transfer-encoding") == [CHUNKED]


async def test_an_answer_streams_before_it_is_complete(stack) -> None:
    headers = stack.tenancy.headers(tenant=uuid7())
    async with stack.client.stream("GET", JOBS + "stream/", headers=headers) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        stack.engine.release.set()
        assert b"".join([piece async for piece in pieces]) == b"second"


async def test_a_client_that_goes_away_cancels_upstream(stack) -> None:
    headers = stack.tenancy.headers(tenant=uuid7())
    async with stack.client.stream("GET", JOBS + "stream/", headers=headers) as answer:
        assert await anext(answer.aiter_raw()) == b"first"
    async with asyncio.timeout(10):
        await stack.engine.cancelled.wait()


@pytest.mark.invariant("S67")
@pytest.mark.parametrize("overrides", [{"backup_engine_url": "http://127.0.0.1:9"}], indirect=True)
async def test_one_service_that_is_down_is_503_and_the_others_answer(stack) -> None:
    headers = stack.tenancy.headers(tenant=uuid7())
    down = await stack.client.get(JOBS, headers=headers)
    assert (down.status_code, down.json()["code"], down.json()["service"]) == (
        503,
        "service_unavailable",
        "backup-engine",
    )
    assert down.headers["retry-after"] == "1"
    assert (await stack.client.get("/api/tenants/orders/", headers=headers)).status_code == 200


@pytest.mark.invariant("S67")
@pytest.mark.parametrize("overrides", [{"idle_seconds": 0.3}], indirect=True)
async def test_a_silent_service_is_503_after_its_time(stack) -> None:
    answer = await stack.client.get(JOBS + "hang/", headers=stack.tenancy.headers(tenant=uuid7()))
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")


async def test_problems_are_in_the_callers_language(stack) -> None:
    french = await stack.client.get(JOBS, headers={"accept-language": "fr-CM, en;q=0.5"})
    english = await stack.client.get(JOBS, headers={"accept-language": "en"})
    assert french.json()["detail"].startswith("Connectez-vous")
    assert english.json()["detail"].startswith("Sign in first")
    assert french.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("overrides", [{"sign_ins_per_minute": 5}], indirect=True)
async def test_sign_ins_of_one_address_are_limited_and_nothing_else_is(stack) -> None:
    statuses = [(await stack.client.post(LOGIN, json={})).status_code for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    assert int((await stack.client.post(LOGIN, json={})).headers["retry-after"]) >= 1
    assert (await stack.client.get("/api/tenants/plans/")).status_code == 200


@pytest.mark.parametrize("overrides", [{"coupons_per_minute": 3}], indirect=True)
async def test_coupon_codes_are_tried_a_few_times_a_minute_however_often_one_signs_in(stack) -> None:
    guesser, other = uuid7(), uuid7()
    validate, preview = "/api/tenants/coupons/validate/", "/api/tenants/orders/preview/"

    async def tried(user, path: str = validate) -> int:
        headers = stack.tenancy.headers(tenant=uuid7(), sub=str(user))
        return (await stack.client.post(path, json={}, headers=headers)).status_code

    ways = (validate, preview, preview, preview, validate)
    assert [await tried(guesser, path) for path in ways] == [200] * 3 + [429] * 2
    assert await tried(other) == 200


async def test_health_and_readiness_answer_without_a_token(stack) -> None:
    assert (await stack.client.get("/healthz")).json() == {"status": "ok"}
    assert (await stack.client.get("/readyz")).json() == {"status": "ready"}


@pytest.mark.parametrize("overrides", [{"tenancy_url": "http://127.0.0.1:9"}], indirect=True)
async def test_without_tenancys_keys_the_gateway_is_not_ready_and_lets_nobody_in(stack) -> None:
    assert (await stack.client.get("/readyz")).status_code == 503
    answer = await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=uuid7()))
    assert answer.status_code == 503
    assert not stack.engine.seen


async def test_many_requests_at_once_keep_their_tenants_apart(stack) -> None:
    tenants = [uuid7() for _ in range(40)]
    answers = await asyncio.gather(
        *(stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=tenant)) for tenant in tenants)
    )
    assert [answer.json()["tenant"] for answer in answers] == [str(tenant) for tenant in tenants]
    assert await eventually(lambda: len(stack.engine.seen) == 40)
