"""API keys at the gateway: whom they speak for, from where, to what, and for how long after they were revoked."""

import hashlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from common.ids import uuid7
from gateway.proxy.api_keys import well_formed
from gateway.testing import a_key, told

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"
ALL = [f"{area}:{verb}" for area in ("infrastructure", "backups", "restores") for verb in ("read", "write")]


class Program:
    """Somebody's program with a key that tenancy knows."""

    def __init__(self, stack, **known: Any) -> None:
        self.stack, self.key, self.id, self.tenant = stack, a_key(), uuid7(), uuid7()
        usual = {"id": str(self.id), "tenant_id": str(self.tenant), "roles": ["member"], "scopes": ALL}
        usual |= {"allowed_networks": [], "expires_at": None, "has_api_access": True}
        self.known = usual | known
        stack.tenancy.api_keys[hashlib.sha256(self.key.encode()).hexdigest()] = self.known

    async def asks(self, path: str = JOBS, method: str = "GET", **headers: str) -> tuple[int, str | None]:
        bearer = {"authorization": f"Bearer {self.key}"}
        answer = await self.stack.client.request(method, path, headers=bearer | headers)
        return answer.status_code, answer.json().get("code")


@pytest.mark.invariant("S59")
async def test_a_key_speaks_for_itself_in_its_organization_and_is_asked_about_once(stack) -> None:
    program = Program(stack)
    assert [await program.asks() for _ in range(3)] == [(200, None)] * 3
    claims = stack.engine.seen[-1].claims
    assert (claims.user_id, claims.tenant_id, claims.roles) == (program.id, program.tenant, {"member"})
    assert (claims.session_id, claims.staff_roles) == (None, frozenset())
    assert stack.tenancy.key_questions == 1


@pytest.mark.invariant("S59")
async def test_a_key_opens_only_what_its_scopes_say(stack) -> None:
    reader, writer = Program(stack, scopes=["backups:read"]), Program(stack, scopes=["backups:write"])
    restore = "/api/restore/vm/"
    assert await reader.asks() == (200, None)
    assert await reader.asks(method="POST") == (403, "scope_missing")
    assert [await writer.asks(method=method) for method in ("GET", "POST")] == [(200, None)] * 2
    for one in (reader, writer):
        assert await one.asks(restore, "POST") == (403, "scope_missing")
        assert await one.asks("/api/esxi-servers/") == (403, "scope_missing")
    assert len(stack.engine.seen) == 3


@pytest.mark.invariant("S59")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/auth/user/"),
        ("POST", "/api/auth/logout/"),
        ("GET", "/api/tenants/organizations/"),
        ("GET", "/api/tenants/api-keys/"),
        ("POST", "/api/tenants/api-keys/"),
        ("POST", "/api/tenants/organizations/00000000-0000-0000-0000-000000000007/invite_member/"),
        ("POST", "/api/tenants/orders/"),
        ("GET", "/api/admin/orders/"),
    ],
)
async def test_no_scope_opens_what_only_a_person_may_do(stack, method: str, path: str) -> None:
    every = [f"{area}:{verb}" for area in ("organization", "billing", "backups") for verb in ("read",)] + ALL
    program = Program(stack, scopes=every)
    assert await program.asks(path, method) == (403, "scope_missing")
    refused = await stack.client.request(method, path, headers={"authorization": f"Bearer {program.key}"})
    assert refused.json()["scope"] == ""
    assert "en personne" in refused.json()["detail"]
    assert not stack.tenancy.upstream.seen + stack.billing.seen


@pytest.mark.invariant("S59")
async def test_a_revoked_key_ends_at_once_everywhere(stack) -> None:
    program, other = Program(stack), Program(stack)
    assert [await one.asks() for one in (program, other)] == [(200, None)] * 2
    await stack.broker.publish(told("api_key.revoked", program.tenant, key_id=program.id))
    assert await program.asks() == (401, "api_key_invalid"), "although tenancy still says otherwise"
    assert await other.asks() == (200, None)


async def test_what_is_known_of_keys_outlives_the_end_of_others(stack) -> None:
    program = Program(stack)
    assert await program.asks() == (200, None)
    await stack.broker.publish(told("session.revoked", session_id=uuid7(), user_id=uuid7(), reason="logout"))
    await stack.broker.publish(told("api_key.revoked", uuid7(), key_id=uuid7()))
    assert await program.asks() == (200, None)
    assert stack.tenancy.key_questions == 1


@pytest.mark.invariant("S59")
@pytest.mark.parametrize("overrides", [{"api_key_lifetime": 0.2}], indirect=True)
async def test_what_is_known_of_a_key_is_forgotten_after_its_time(stack) -> None:
    from common.testing import eventually

    program = Program(stack)
    assert await program.asks() == (200, None)
    stack.tenancy.api_keys.clear()

    async def refused() -> bool:
        return await program.asks() == (401, "api_key_invalid")

    await eventually(refused)


async def test_a_fresh_route_asks_about_the_key_each_time(stack) -> None:
    program = Program(stack)
    assert [await program.asks("/api/restore/vm/", "POST") for _ in range(2)] == [(200, None)] * 2
    assert stack.tenancy.key_questions == 2
    stack.tenancy.failing = True
    assert await program.asks("/api/restore/vm/", "POST") == (503, "service_unavailable")
    assert await program.asks() == (200, None)


@pytest.mark.invariant("S59")
async def test_an_expired_key_is_refused_although_it_is_remembered(stack) -> None:
    program = Program(stack, expires_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    assert await program.asks() == (401, "api_key_invalid")
    lasting = Program(stack, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert await lasting.asks() == (200, None)


@pytest.mark.invariant("S59")
@pytest.mark.parametrize("overrides", [{"trusted_proxies": ["127.0.0.0/8"]}], indirect=True)
async def test_a_key_works_from_its_networks_only(stack) -> None:
    program = Program(stack, allowed_networks=["192.0.2.0/28", "2001:db8::/32"])
    allowed = [await program.asks(**{"x-forwarded-for": one}) for one in ("192.0.2.9", "2001:db8::1")]
    assert allowed == [(200, None)] * 2
    for address in ("192.0.2.16", "198.51.100.1", "2001:db9::1", "192.0.2.9, 198.51.100.1"):
        assert await program.asks(**{"x-forwarded-for": address}) == (403, "address_not_allowed")
    assert await program.asks() == (403, "address_not_allowed")


async def test_a_plan_without_api_access_closes_keys_and_not_persons(stack) -> None:
    program = Program(stack, has_api_access=False)
    assert await program.asks() == (403, "api_access_not_in_plan")
    headers = stack.tenancy.headers(tenant=program.tenant)
    assert (await stack.client.get(JOBS, headers=headers)).status_code == 200


@pytest.mark.parametrize("change", ["last letter", "first letter", "short", "long", "empty", "sign"])
async def test_what_is_no_key_by_its_checksum_is_not_asked_about(stack, change: str) -> None:
    program = Program(stack)
    key = program.key
    swapped = {"1": "2"}.get(key[-1], "1")
    program.key = {
        "last letter": key[:-1] + swapped,
        "first letter": f"{key[:4]}{'A' if key[4] != 'A' else 'B'}{key[5:]}",
        "short": key[:-1],
        "long": key + "a",
        "empty": "ebm_",
        "sign": key[:10] + "-" + key[11:],
    }[change]
    assert not well_formed(program.key)
    assert await program.asks() == (401, "api_key_invalid")
    assert stack.tenancy.key_questions == 0


async def test_an_unknown_key_is_asked_about_and_refused(stack) -> None:
    program = Program(stack)
    program.key = a_key()
    assert await program.asks() == (401, "api_key_invalid")
    assert stack.tenancy.key_questions == 1


@pytest.mark.invariant("S66")
@pytest.mark.parametrize("overrides", [{"api_key_per_minute": 20}], indirect=True)
async def test_each_key_has_its_own_limit(stack) -> None:
    program, other = Program(stack), Program(stack)
    assert [(await program.asks())[0] for _ in range(7)] == [200] * 5 + [429] * 2
    assert await other.asks() == (200, None)


@pytest.mark.invariant("S66")
@pytest.mark.parametrize("overrides", [{"refused_per_minute": 20}], indirect=True)
async def test_a_key_that_does_not_open_a_route_is_presented_in_vain_a_few_times(stack) -> None:
    program = Program(stack, scopes=["backups:read"])
    assert [(await program.asks("/api/restore/vm/", "POST"))[0] for _ in range(7)] == [403] * 5 + [429] * 2
    assert await program.asks() == (200, None)


@pytest.mark.invariant("S12")
async def test_a_key_is_in_no_log_and_in_no_question(stack, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    program = Program(stack)
    await program.asks()
    await program.asks("/api/restore/vm/", "POST")
    assert program.key not in caplog.text
    everything = stack.tenancy.upstream.seen + stack.engine.seen
    assert all(program.key not in str(seen) for seen in everything)
