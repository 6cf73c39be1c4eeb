"""What answers say to browsers."""

import pytest
from common.ids import uuid7

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"
CONSOLE = "https://console.example"
shared = pytest.mark.parametrize("overrides", [{"cors_origins": [CONSOLE]}], indirect=True)


async def test_every_answer_says_how_it_may_be_used(stack) -> None:
    answers = [
        await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=uuid7())),
        await stack.client.get(JOBS),
        await stack.client.get("/nowhere/"),
        await stack.client.get("/healthz"),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


@shared
async def test_pages_of_the_console_may_call_and_others_may_not(stack) -> None:
    headers = stack.tenancy.headers(tenant=uuid7())
    ours = await stack.client.get(JOBS, headers=headers | {"origin": CONSOLE})
    assert ours.headers["access-control-allow-origin"] == CONSOLE
    assert "x-request-id" in ours.headers["access-control-expose-headers"]
    for origin in ("https://evil.example", "null", "https://console.example.evil.example", CONSOLE.upper(), "*"):
        other = await stack.client.get(JOBS, headers=headers | {"origin": origin})
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "origin"
    assert all("access-control-allow-credentials" not in answer.headers for answer in (ours, other))


@shared
async def test_a_browser_may_ask_before_it_calls_without_a_token(stack) -> None:
    asking = {"origin": CONSOLE, "access-control-request-method": "POST"}
    answer = await stack.client.options(JOBS, headers=asking)
    assert (answer.status_code, answer.headers["access-control-allow-methods"]) == (204, "GET, POST")
    assert "idempotency-key" in answer.headers["access-control-allow-headers"]
    assert (await stack.client.options("/internal/", headers=asking)).status_code == 404
    assert not stack.engine.seen


@shared
async def test_a_foreign_page_that_asks_is_refused(stack) -> None:
    asking = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = await stack.client.options(JOBS, headers=asking)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers
