"""API keys: shown once, kept as an HMAC, told to the gateway, ended at once; with a second tenant beside."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.testing import ServiceClient
from sqlalchemy import text
from tenancy.domain.api_keys import MOST_KEYS, well_formed
from tenancy.domain.people import User
from tenancy.persistence import tables
from tenancy.testing import FEATURES, Tenancy

pytestmark = pytest.mark.integration
PATH = "/api/tenants/api-keys/"
WANTED = {"name": "Terraform", "scopes": ["backups:read"]}


async def keeper(tenancy: Tenancy, **who: Any) -> tuple[ServiceClient, User, UUID]:
    """The owner of an organization whose plan has API access, as a client."""
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    await tenancy.set_features(tenant, has_api_access=True)
    return tenancy.client(user_id=owner.id, tenant_id=tenant, **who), owner, tenant


async def resolve(tenancy: Tenancy, key: str) -> Any:
    """What the gateway asks."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return await tenancy.client(anonymous=True).get(f"/internal/api-keys/{digest}")


@pytest.mark.invariant("S59")
async def test_a_key_is_shown_once_and_kept_as_an_hmac(tenancy: Tenancy) -> None:
    me, owner, tenant = await keeper(tenancy)
    made = (await me.post(PATH, json=WANTED)).json()
    assert well_formed(made["key"])
    assert made["key"].startswith(made["prefix"])
    (listed,) = (await me.get(PATH)).json()["results"]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert (await me.get(f"{PATH}{made['id']}/")).json() == listed
    (row,) = await tenancy.rows(tenant, tables.api_keys)
    digest = hashlib.sha256(made["key"].encode()).digest()
    assert row["key_hmac"] not in {digest, made["key"].encode()}
    async with tenancy.store.for_tenant(tenant) as uow:
        for table in ("api_keys", "audit_log", "outbox", "idempotency_keys"):
            if table != "outbox":
                dump = str((await uow.session.execute(text(f"select {table}::text from {table}"))).all())
                assert made["key"] not in dump
    assert (listed["created_by"], listed["role"]) == (str(owner.id), "member")


@pytest.mark.invariant("S59")
async def test_the_gateway_learns_whose_key_it_is_and_what_it_may(tenancy: Tenancy) -> None:
    me, _, tenant = await keeper(tenancy)
    other, _, _ = await keeper(tenancy)
    wanted = WANTED | {"role": "viewer", "allowed_networks": ["192.0.2.5", "2001:db8::/32"]}
    made = (await me.post(PATH, json=wanted)).json()
    found = (await resolve(tenancy, made["key"])).json()
    assert found == {
        "id": made["id"],
        "tenant_id": str(tenant),
        "roles": ["viewer"],
        "scopes": ["backups:read"],
        "allowed_networks": ["192.0.2.5/32", "2001:db8::/32"],
        "expires_at": None,
        "has_api_access": True,
    }
    assert (await me.get(f"{PATH}{made['id']}/")).json()["last_used_at"] is not None
    assert (await other.get(f"{PATH}{made['id']}/")).status_code == 404
    assert (await other.delete(f"{PATH}{made['id']}/")).status_code == 404
    assert (await other.get(PATH)).json()["results"] == []


@pytest.mark.invariant("S59")
async def test_a_revoked_an_expired_and_an_unknown_key_are_answered_alike(tenancy: Tenancy) -> None:
    me, _, tenant = await keeper(tenancy)
    soon = (tenancy.clock.now() + timedelta(hours=1)).isoformat()
    expired = (await me.post(PATH, json=WANTED | {"expires_at": soon})).json()
    revoked = (await me.post(PATH, json=WANTED)).json()
    assert [(await resolve(tenancy, key["key"])).status_code for key in (expired, revoked)] == [200, 200]
    tenancy.clock.advance(timedelta(hours=2))
    assert (await me.delete(f"{PATH}{revoked['id']}/")).status_code == 204
    assert (await me.delete(f"{PATH}{revoked['id']}/")).status_code == 204
    answers = [await resolve(tenancy, key) for key in (expired["key"], revoked["key"], "ebm_never")]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert len({(answer.json()["code"], answer.json()["detail"]) for answer in answers}) == 1
    told = [fact["data"] for fact in await tenancy.facts(tenant) if fact["type"] == "api_key.revoked.v1"]
    assert told == [{"key_id": revoked["id"]}]


async def test_a_plan_without_api_access_makes_no_keys_and_lets_old_ones_in_no_more(tenancy: Tenancy) -> None:
    me, _, tenant = await keeper(tenancy)
    made = (await me.post(PATH, json=WANTED)).json()
    await tenancy.set_features(tenant, **FEATURES)
    refused = await me.post(PATH, json=WANTED)
    assert (refused.status_code, refused.json()["code"]) == (403, "feature_not_in_plan")
    assert refused.json()["feature"] == "has_api_access"
    assert (await resolve(tenancy, made["key"])).json()["has_api_access"] is False


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"role": "owner"}, "role_not_grantable"),
        ({"allowed_networks": ["somewhere"]}, "network_invalid"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expiry_invalid"),
        ({"expires_at": "2030-01-01T00:00:00Z"}, "expiry_invalid"),
        ({"scopes": []}, "invalid_request"),
        ({"scopes": ["everything"]}, "invalid_request"),
    ],
)
async def test_a_key_that_would_be_too_much_is_refused(tenancy: Tenancy, change: dict[str, Any], code: str) -> None:
    me, _, tenant = await keeper(tenancy)
    assert (await me.post(PATH, json=WANTED | change)).json()["code"] == code
    assert await tenancy.rows(tenant, tables.api_keys) == []


async def test_members_neither_see_nor_make_keys(tenancy: Tenancy) -> None:
    me, _, _ = await keeper(tenancy, roles=["member"])
    assert [(await me.get(PATH)).status_code, (await me.post(PATH, json=WANTED)).status_code] == [403, 403]


async def test_who_has_not_confirmed_an_address_makes_no_key(tenancy: Tenancy) -> None:
    owner = await tenancy.person(verified=False)
    tenant = await tenancy.organization(owner)
    await tenancy.set_features(tenant, has_api_access=True)
    refused = await tenancy.client(user_id=owner.id, tenant_id=tenant).post(PATH, json=WANTED)
    assert refused.json()["code"] == "email_not_verified"


@pytest.mark.invariant("S42")
async def test_a_suspended_organization_makes_no_key_but_may_revoke_one(tenancy: Tenancy) -> None:
    me, _, tenant = await keeper(tenancy)
    made = (await me.post(PATH, json=WANTED)).json()
    await tenancy.set_status(tenant, "suspended")
    assert (await me.post(PATH, json=WANTED)).json()["code"] == "organization_suspended"
    assert (await me.delete(f"{PATH}{made['id']}/")).status_code == 204


@pytest.mark.invariant("S43")
async def test_a_repeat_under_one_idempotency_key_has_the_same_secret_and_no_second_key(tenancy: Tenancy) -> None:
    me, _, tenant = await keeper(tenancy)
    headers = {"Idempotency-Key": uuid7().hex}
    answers = await asyncio.gather(*(me.post(PATH, json=WANTED, headers=headers) for _ in range(50)))
    assert len({answer.text for answer in answers}) == 1
    assert len(await tenancy.rows(tenant, tables.api_keys)) == 1
    async with tenancy.store.for_tenant(tenant) as uow:
        kept = str((await uow.session.execute(text("select answer::text from idempotency_keys"))).all())
    assert answers[0].json()["key"] not in kept


async def test_a_key_is_shown_again_to_nobody_but_its_maker(tenancy: Tenancy) -> None:
    me, _, tenant = await keeper(tenancy)
    colleague = tenancy.client(user_id=(await tenancy.person()).id, tenant_id=tenant, roles=["admin"])
    stranger, _, _ = await keeper(tenancy)
    headers = {"Idempotency-Key": "the-same-1"}
    made = [(await one.post(PATH, json=WANTED, headers=headers)).json() for one in (me, colleague, stranger, me)]
    assert made[0] == made[3]
    assert len({one["key"] for one in made}) == 3
    assert len({one["created_by"] for one in made}) == 3


@pytest.mark.invariant("S39")
async def test_keys_made_at_once_do_not_exceed_what_an_organization_may_have(tenancy: Tenancy) -> None:
    me, _, tenant = await keeper(tenancy)
    answers = await asyncio.gather(*(me.post(PATH, json=WANTED) for _ in range(MOST_KEYS + 50)))
    assert sorted(answer.status_code for answer in answers) == [201] * MOST_KEYS + [409] * 50
    assert len(await tenancy.rows(tenant, tables.api_keys)) == MOST_KEYS
