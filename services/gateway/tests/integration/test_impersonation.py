"""Tokens that somebody of the staff acts with in a customer's name: what they open, what the services are told."""

import logging
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.testing import eventually
from gateway.proxy.routes import ROUTES, Level
from gateway.testing import told

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"


def acting(stack, tenant: UUID, actor: UUID, **more: Any) -> dict[str, str]:
    """The Authorization field of a staff member who acts in an owner's name."""
    claims = {"roles": ["viewer"], "act": {"sub": str(actor)}} | more
    return {"authorization": f"Bearer {stack.tenancy.token(tenant=str(tenant), **claims)}"}


@pytest.mark.invariant("S76")
async def test_the_service_is_told_of_both_and_so_is_the_access_log(stack, caplog: pytest.LogCaptureFixture) -> None:
    tenant, actor, owner = uuid7(), uuid7(), uuid7()

    def logged() -> list[str]:
        return [record.impersonator for record in caplog.records if hasattr(record, "impersonator")]

    async def written() -> bool:
        return bool(logged())

    with caplog.at_level(logging.INFO, logger="access"):
        answer = await stack.client.get(JOBS, headers=acting(stack, tenant, actor, sub=str(owner)))
        await eventually(written)
    assert answer.status_code == 200
    claims = stack.engine.seen[-1].claims
    assert (claims.user_id, claims.actor_id, claims.tenant_id) == (owner, actor, tenant)
    assert logged() == [str(actor)]
    await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=tenant))
    assert stack.engine.seen[-1].claims.actor_id is None


@pytest.mark.invariant("S77")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", JOBS),
        ("DELETE", "/api/tenants/api-keys/01980000-0000-7000-8000-000000000001/"),
        ("POST", "/api/auth/password/"),
        ("GET", "/api/auth/sessions/"),
        ("GET", "/api/auth/user/"),
        ("POST", "/api/auth/switch/"),
        ("GET", "/api/tenants/invoices/"),
        ("POST", "/api/tenants/orders/"),
        ("GET", "/api/admin/organizations/"),
        ("GET", "/api/restore/jobs/01980000-0000-7000-8000-000000000001/disks/2000/content"),
    ],
)
async def test_nothing_but_reading_passes(stack, method: str, path: str) -> None:
    answer = await stack.client.request(method, path, headers=acting(stack, uuid7(), uuid7(), roles=["owner"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "read_only_impersonation")
    for service in (stack.engine, stack.tenancy.upstream):
        assert all(seen.target != path for seen in service.seen)


@pytest.mark.invariant("S77")
def test_what_is_open_to_impersonation_is_reading_an_organizations_affairs() -> None:
    opened = [(row, method) for row in ROUTES for method in row.methods if row.open_to_impersonation(method)]
    assert opened
    for row, method in opened:
        assert method == "GET"
        assert (row.level, row.fresh, row.in_person) == (Level.ORGANIZATION, False, False)
        assert not row.path.startswith(("/api/auth/", "/api/admin/", "/api/tenants/orders", "/api/tenants/payments"))


@pytest.mark.invariant("S78")
async def test_it_ends_when_its_end_is_told(stack) -> None:
    tenant, actor, impersonation = uuid7(), uuid7(), uuid7()
    mine = acting(stack, tenant, actor, sid=str(impersonation))
    other = acting(stack, tenant, actor)
    assert (await stack.client.get(JOBS, headers=mine)).status_code == 200
    ended = told("session.revoked", tenant, session_id=impersonation, user_id=uuid7(), reason="impersonation_ended")
    await stack.broker.publish(ended)
    refused = await stack.client.get(JOBS, headers=mine)
    assert (refused.status_code, refused.json()["code"]) == (401, "session_ended")
    assert (await stack.client.get(JOBS, headers=other)).status_code == 200


@pytest.mark.parametrize("act", ["nobody", {}, {"sub": "nobody"}, None])
async def test_an_actor_that_is_nobody_is_no_token(stack, act: Any) -> None:
    headers = {"authorization": f"Bearer {stack.tenancy.token(tenant=str(uuid7()), roles=['viewer'], act=act)}"}
    answer = await stack.client.get(JOBS, headers=headers)
    # None leaves the claim out, as in every token of somebody who acts for himself.
    assert answer.status_code == (200 if act is None else 401)
