"""Taking along all that tenancy keeps: of an organization by its owner, of an account by its person."""

import json
import re
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from tenancy.testing import PASSWORD, Tenancy

pytestmark = pytest.mark.integration


def path(tenant: UUID, rest: str = "export/tenancy/") -> str:
    return f"/api/tenants/organizations/{tenant}/{rest}"


def rows_of(text: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    first, *lines, last = map(json.loads, text.splitlines())
    assert first["export"]["service"] == "tenancy"
    assert last["end"]["rows"] == len(lines)
    for line in lines:
        found.setdefault(line["table"], []).append(line["row"])
    return found


@pytest.mark.invariant("S83")
async def test_no_secret_that_was_made_is_in_an_export(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    await tenancy.set_features(tenant, has_api_access=True, has_sso=True)
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    headers = {"Idempotency-Key": uuid7().hex}
    key = (
        await me.post("/api/tenants/api-keys/", json={"name": "CI", "scopes": ["backups:read"]}, headers=headers)
    ).json()
    hook = {"url": "https://hooks.exemple.cm/in", "event_types": ["*"]}
    endpoint = (await me.post("/api/tenants/webhook-endpoints/", json=hook)).json()
    rotated = (
        await me.post(f"/api/tenants/webhook-endpoints/{endpoint['id']}/rotate_secret/", json={"overlap_hours": 1})
    ).json()
    guest = f"{uuid7().hex}@exemple.cm"
    assert (await me.post(path(tenant, "invite_member/"), json={"email": guest})).status_code == 201
    (mail,) = await tenancy.mails_to(guest)
    tokens = re.findall(r"[\w-]{43}", mail.body_text)
    sso = {"issuer": "https://login.exemple.cm", "client_id": "c", "client_secret": "a secret between two"}
    assert (await me.put(path(tenant, "sso/"), json=sso)).is_success
    secrets = [key["key"], endpoint["secret"], rotated["secret"], *tokens, sso["client_secret"], PASSWORD]
    assert len(secrets) >= 6
    answer = await me.get(path(tenant))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    found = rows_of(answer.text)
    assert {"api_keys", "webhook_endpoints", "invitations", "sso_connections", "mails"} <= set(found)
    assert [secret for secret in secrets if secret in answer.text] == []


@pytest.mark.invariant("S82")
async def test_an_export_is_for_the_owner_of_the_active_organization_in_person(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    _, other = await tenancy.owned()
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    missing, foreign = await me.get(path(uuid7())), await me.get(path(other))
    assert [missing.status_code, foreign.status_code] == [404, 404]
    assert missing.json()["code"] == foreign.json()["code"] == "not_the_active_organization"
    admin = tenancy.client(user_id=owner.id, tenant_id=tenant, roles=["admin"])
    assert (await admin.get(path(tenant))).json()["code"] == "role_required"
    staff = tenancy.client(user_id=owner.id, tenant_id=tenant, actor_id=uuid7())
    assert (await staff.get(path(tenant))).json()["code"] == "read_only_impersonation"
    text = (await me.get(path(tenant))).text
    assert str(other) not in text
    entries = [row for row in rows_of(text)["audit_log"] if row["action"] == "organization.exported"]
    assert [entry["actor"] for entry in entries] == [str(owner.id)]


async def test_an_account_is_exported_to_its_person_without_what_signs_in(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    stranger, _ = await tenancy.owned()
    answer = await tenancy.client(user_id=owner.id, tenant_id=None).get("/api/auth/user/export/")
    found = rows_of(answer.text)
    assert [row["email"] for row in found["users"]] == [owner.email]
    assert [row["tenant_id"] for row in found["memberships"]] == [str(tenant)]
    assert str(stranger.id) not in answer.text
    assert "hash" not in answer.text.partition("\n")[2]
