"""Access from its beginning to its end, through the gateway: signing out, and a program's key."""

import re
from typing import Any

import httpx
import pytest
from devstack.customer import JSON, MTN_MOMO, Customer, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

GOLD = 3
JOBS, KEYS = "/api/backup-jobs/", "/api/tenants/api-keys/"
SOON = 20
"""Seconds; outbox, broker and gateway take a fraction of one on a quiet machine, a token would last ten minutes."""


async def answered(http: httpx.AsyncClient, method: str, path: str, **request: Any) -> JSON:
    answer = await http.request(method, path, **request)
    return {"status": answer.status_code, "code": answer.json().get("code") if answer.content else None}


async def verified(customer: Customer, endpoints: JSON) -> None:
    """Follow the mailed link."""
    async with httpx.AsyncClient(base_url=endpoints["mail"], trust_env=False) as sink:

        async def mailbox() -> JSON:
            found: JSON = (await sink.get("/messages", params={"to": customer.email})).json()
            return {"links": re.findall(r"verify-email\?token=([\w-]+)", str(found))}

        links = (await until(mailbox, lambda found: bool(found["links"]), seconds=60))["links"]
    await customer.call("POST", "/api/auth/verify-email/", {"token": links[0]}, expect=204)


@pytest.mark.invariant("S54")
async def test_a_token_is_worth_nothing_soon_after_its_holder_signed_out(new_customer) -> None:
    customer, other = await new_customer(), await new_customer()
    tokens = {"authorization": customer.http.headers["authorization"]}
    assert (await answered(customer.http, "GET", "/api/tenants/orders/"))["status"] == 200
    await customer.call("POST", "/api/auth/logout/", expect=204)

    async def asks() -> JSON:
        return await answered(customer.http, "GET", "/api/tenants/orders/", headers=tokens)

    ended = await until(asks, lambda found: found["status"] != 200, seconds=SOON)
    assert ended == {"status": 401, "code": "session_ended"}
    assert (await answered(other.http, "GET", "/api/tenants/orders/"))["status"] == 200


@pytest.mark.invariant("S59")
async def test_a_programs_key_opens_what_it_is_for_until_it_is_revoked(new_customer, endpoints: JSON) -> None:
    customer: Customer = await new_customer()
    await verified(customer, endpoints)
    order = await customer.order(GOLD, "Programmes")
    await customer.pay(order, MTN_MOMO)
    organization = await customer.paid(order)
    await customer.log_in()
    wanted = {"name": "Supervision", "role": "member", "scopes": ["backups:read", "organization:read"]}
    made = await customer.post(KEYS, wanted, expect=201)
    headers = {"authorization": f"Bearer {made['key']}"}
    async with httpx.AsyncClient(
        base_url=endpoints["gateway"], headers=headers, trust_env=False, timeout=30
    ) as program:

        async def asks(method: str = "GET", path: str = JOBS) -> JSON:
            return await answered(program, method, path)

        first = await until(asks, lambda found: found["status"] != 503, seconds=SOON)
        assert first["status"] == 200
        assert (await asks(path=f"/api/tenants/organizations/{organization['id']}/"))["status"] == 200
        for method, path in (("POST", JOBS), ("GET", KEYS), ("GET", "/api/auth/user/"), ("GET", "/api/esxi-servers/")):
            assert await asks(method, path) == {"status": 403, "code": "scope_missing"}, path
        await customer.call("DELETE", f"{KEYS}{made['id']}/", expect=204)
        ended = await until(asks, lambda found: found["status"] != 200, seconds=SOON)
    assert ended == {"status": 401, "code": "api_key_invalid"}
