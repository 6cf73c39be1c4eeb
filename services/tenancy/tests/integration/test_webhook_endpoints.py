"""Where organizations want to hear of things: made, shown without their secret, changed, switched off, deleted; with a
second tenant beside.
"""

import asyncio
import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.testing import ServiceClient
from sqlalchemy import text
from tenancy.domain.membership import Membership
from tenancy.domain.roles import Role
from tenancy.domain.webhooks import MOST_ENDPOINTS, Attempt
from tenancy.persistence import tables, webhook_claims
from tenancy.testing import FEATURES, Tenancy

pytestmark = pytest.mark.integration
PATH = "/api/tenants/webhook-endpoints/"
WANTED = {"url": "https://hooks.exemple.cm/in?token=x", "event_types": ["backup.*", "payment.confirmed.v1"]}


async def keeper(tenancy: Tenancy, **who: Any) -> tuple[ServiceClient, UUID]:
    """The owner of an organization whose plan has API access, as a client."""
    owner, tenant = await tenancy.owned()
    await tenancy.set_features(tenant, has_api_access=True)
    return tenancy.client(user_id=owner.id, tenant_id=tenant, **who), tenant


@pytest.mark.invariant("S71")
async def test_an_endpoint_is_shown_with_its_secret_once_and_kept_with_a_sealed_one(tenancy: Tenancy) -> None:
    me, tenant = await keeper(tenancy)
    answer = await me.post(PATH, json=WANTED | {"description": "ERP"})
    made = answer.json()
    assert answer.status_code == 201, made
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"), validate=True)) == 32
    (listed,) = (await me.get(PATH)).json()["results"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert (await me.get(f"{PATH}{made['id']}/")).json() == listed
    assert (listed["enabled"], listed["event_types"]) == (True, ["backup.*", "payment.confirmed.v1"])
    (row,) = await tenancy.rows(tenant, tables.webhook_endpoints)
    assert tenancy.tools.sealer.open(row["secret_sealed"], row["id"]) == made["secret"]
    async with tenancy.store.for_tenant(tenant) as uow:
        for table in ("webhook_endpoints", "audit_log", "idempotency_keys"):
            dump = str((await uow.session.execute(text(f"select {table}::text from {table}"))).all())
            assert made["secret"] not in dump
        log = str((await uow.session.execute(text("select details::text from audit_log"))).all())
    assert "hooks.exemple.cm" in log
    assert "token" not in log, "an address may have a secret in its query"


async def test_another_organization_neither_sees_nor_changes_an_endpoint(tenancy: Tenancy) -> None:
    me, _ = await keeper(tenancy)
    other, others_tenant = await keeper(tenancy)
    made = (await me.post(PATH, json=WANTED)).json()
    path = f"{PATH}{made['id']}/"
    test = (await me.post(f"{path}test/")).json()
    asked = [
        other.get(path), other.patch(path, json={"enabled": False}), other.delete(path),
        other.post(f"{path}rotate_secret/", json={}), other.post(f"{path}test/"), other.get(f"{path}deliveries/"),
        other.get(f"{path}deliveries/{test['id']}/"), other.post(f"{path}deliveries/{test['id']}/replay/"),
        other.post(f"{path}replay_failed/", json={"since": "2026-11-01T00:00:00Z"}),
    ]  # fmt: skip
    answers = await asyncio.gather(*asked)
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "webhook_endpoint_not_found")}
    assert (await other.get(PATH)).json()["results"] == []
    mine = (await other.post(PATH, json=WANTED)).json()
    crossed = await other.get(f"{PATH}{mine['id']}/deliveries/{test['id']}/")
    assert (crossed.status_code, crossed.json()["code"]) == (404, "webhook_delivery_not_found")
    assert (await me.get(path)).json()["enabled"] is True
    assert len(await tenancy.rows(others_tenant, tables.webhook_endpoints)) == 1


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"url": "http://hooks.exemple.cm/"}, "webhook_url_refused", "not_https"),
        ({"url": "ftp://hooks.exemple.cm/"}, "webhook_url_refused", "not_https"),
        ({"url": "https://a:b@hooks.exemple.cm/"}, "webhook_url_refused", "credentials_or_fragment"),
        ({"url": "https://hooks.exemple.cm/#x"}, "webhook_url_refused", "credentials_or_fragment"),
        ({"url": "https://hooks.exemple.cm:22/"}, "webhook_url_refused", "port"),
        ({"url": "https://127.0.0.1/"}, "webhook_url_refused", "not_public"),
        ({"url": "https://localhost/"}, "webhook_url_refused", "not_public"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "webhook_url_refused", "not_public"),
        ({"url": "https://[64:ff9b::a00:1]/"}, "webhook_url_refused", "not_public"),
        ({"url": "https://169.254.169.254/latest/meta-data/"}, "webhook_url_refused", "not_public"),
        ({"url": "https:///in"}, "webhook_url_refused", "malformed"),
        ({"url": "https://hooks.exemple.cm:port/"}, "webhook_url_refused", "malformed"),
        ({"url": "https://hooks.exemple.cm\\@10.0.0.1/"}, "webhook_url_refused", "malformed"),
        ({"url": "https://[::1"}, "webhook_url_refused", "malformed"),
        ({"event_types": ["nothing.known.v1"]}, "event_type_unknown", None),
        ({"event_types": ["audit.recorded.v1"]}, "event_type_unknown", None),
        ({"event_types": []}, "invalid_request", None),
    ],
)
async def test_an_endpoint_that_cannot_be_one_is_refused(
    tenancy: Tenancy, change: dict[str, Any], code: str, reason: str | None
) -> None:
    me, tenant = await keeper(tenancy)
    refused = (await me.post(PATH, json=WANTED | change)).json()
    assert (refused["status"], refused["code"], refused.get("reason")) == (422, code, reason)
    assert await tenancy.rows(tenant, tables.webhook_endpoints) == []
    made = (await me.post(PATH, json=WANTED)).json()
    assert (await me.patch(f"{PATH}{made['id']}/", json=change)).json()["code"] == code
    assert (await me.get(f"{PATH}{made['id']}/")).json()["url"] == WANTED["url"]


async def test_only_a_plan_with_api_access_a_confirmed_address_and_an_active_organization_make_one(
    tenancy: Tenancy,
) -> None:
    me, tenant = await keeper(tenancy)
    made = (await me.post(PATH, json=WANTED)).json()
    await tenancy.set_features(tenant, **FEATURES)
    refused = (await me.post(PATH, json=WANTED)).json()
    assert (refused["code"], refused["feature"]) == ("feature_not_in_plan", "has_api_access")
    await tenancy.set_features(tenant, has_api_access=True)
    await tenancy.set_status(tenant, "suspended")
    path = f"{PATH}{made['id']}/"
    answers = [
        await me.post(PATH, json=WANTED),
        await me.patch(path, json={"enabled": False}),
        await me.post(f"{path}test/"),
        await me.post(f"{path}rotate_secret/", json={}),
    ]
    assert {answer.json()["code"] for answer in answers} == {"organization_suspended"}
    assert (await me.delete(path)).status_code == 204
    unconfirmed = await tenancy.person(verified=False)
    theirs = await tenancy.organization(unconfirmed)
    await tenancy.set_features(theirs, has_api_access=True)
    refused = (await tenancy.client(user_id=unconfirmed.id, tenant_id=theirs).post(PATH, json=WANTED)).json()
    assert refused["code"] == "email_not_verified"


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_members_see_nothing_of_endpoints(tenancy: Tenancy, role: str) -> None:
    me, _ = await keeper(tenancy, roles=[role])
    answers = [await me.get(PATH), await me.post(PATH, json=WANTED), await me.get(f"{PATH}{uuid7()}/deliveries/")]
    assert {answer.status_code for answer in answers} == {403}


@pytest.mark.invariant("S39")
async def test_endpoints_made_at_once_do_not_exceed_what_an_organization_may_have(tenancy: Tenancy) -> None:
    me, tenant = await keeper(tenancy)
    answers = await asyncio.gather(*(me.post(PATH, json=WANTED) for _ in range(MOST_ENDPOINTS + 50)))
    assert sorted(answer.status_code for answer in answers) == [201] * MOST_ENDPOINTS + [409] * 50
    assert len(await tenancy.rows(tenant, tables.webhook_endpoints)) == MOST_ENDPOINTS


@pytest.mark.invariant("S43")
async def test_a_repeat_under_one_idempotency_key_has_the_same_secret_and_no_second_endpoint(tenancy: Tenancy) -> None:
    me, tenant = await keeper(tenancy)
    headers = {"Idempotency-Key": uuid7().hex}
    answers = await asyncio.gather(*(me.post(PATH, json=WANTED, headers=headers) for _ in range(50)))
    assert len({answer.text for answer in answers}) == 1
    made = answers[0].json()
    assert len(await tenancy.rows(tenant, tables.webhook_endpoints)) == 1
    rotate = f"{PATH}{made['id']}/rotate_secret/"
    first, again = [await me.post(rotate, json={}, headers=headers) for _ in range(2)]
    assert first.json()["secret"] == again.json()["secret"] != made["secret"]


async def test_a_secret_is_shown_again_to_nobody_but_who_asked_for_it(tenancy: Tenancy) -> None:
    me, tenant = await keeper(tenancy)
    colleague = tenancy.client(user_id=uuid7(), tenant_id=tenant, roles=["admin"])
    headers = {"Idempotency-Key": "the-same-1"}
    made = (await me.post(PATH, json=WANTED, headers=headers)).json()
    assert (await colleague.post(PATH, json=WANTED, headers=headers)).text.count(made["secret"]) == 0
    rotate = f"{PATH}{made['id']}/rotate_secret/"
    first, second, again = [
        (await one.post(rotate, json={}, headers=headers)).json()["secret"] for one in (me, colleague, me)
    ]
    assert first == again != second


@pytest.mark.invariant("S71")
async def test_a_rotated_secret_signs_beside_the_new_one_for_as_long_as_was_asked(tenancy: Tenancy) -> None:
    me, tenant = await keeper(tenancy)
    made = (await me.post(PATH, json=WANTED)).json()
    rotated = (await me.post(f"{PATH}{made['id']}/rotate_secret/", json={"overlap_hours": 2})).json()

    async def in_force() -> list[str]:
        async with tenancy.store.for_tenant(tenant) as uow:
            sealed = await uow.webhook_endpoints.secrets(tenant, UUID(made["id"]))
        return [tenancy.tools.sealer.open(one, UUID(made["id"])) for one in sealed.in_force(tenancy.clock.now())]

    assert await in_force() == [rotated["secret"], made["secret"]]
    tenancy.clock.advance(timedelta(hours=2))
    assert await in_force() == [rotated["secret"]]
    at_once = (await me.post(f"{PATH}{made['id']}/rotate_secret/", json={"overlap_hours": 0})).json()
    assert await in_force() == [at_once["secret"]]
    (row,) = await tenancy.rows(tenant, tables.webhook_endpoints)
    assert row["former_sealed"] is None


async def test_an_endpoint_is_changed_in_what_is_named_only(tenancy: Tenancy) -> None:
    me, _ = await keeper(tenancy)
    made = (await me.post(PATH, json=WANTED)).json()
    shown = {name: value for name, value in made.items() if name != "secret"}
    path = f"{PATH}{made['id']}/"
    assert (await me.patch(path, json={})).json() == shown
    changed = (await me.patch(path, json={"event_types": ["*"], "description": "Autre"})).json()
    assert changed == shown | {"event_types": ["*"], "description": "Autre"}
    off = (await me.patch(path, json={"enabled": False})).json()
    assert (off["enabled"], off["off_for"]) == (False, "by_person")
    assert (await me.post(f"{path}test/")).json()["code"] == "webhook_endpoint_off"
    on = (await me.patch(path, json={"enabled": True})).json()
    assert (on["enabled"], on["off_for"]) == (True, None)


async def test_what_can_be_heard_of_is_listed_with_its_schema(tenancy: Tenancy) -> None:
    me, _ = await keeper(tenancy)
    listed = (await me.get("/api/tenants/webhook-event-types/")).json()["results"]
    told = {entry["type"]: entry for entry in listed}
    assert told["backup.failed.v1"] == {
        "type": "backup.failed.v1",
        "source": "backup-engine",
        "data_schema": "events/backup.failed.v1.json",
    }
    assert "org.deleted.v1" not in told


async def test_endpoints_outlast_whoever_made_them_and_his_removal_names_them(tenancy: Tenancy) -> None:
    me, tenant = await keeper(tenancy)
    admin = await tenancy.person()
    async with tenancy.store.for_tenant(tenant) as uow:
        joined = Membership(tenant, admin.id, Role.ADMIN, admin.email, admin.full_name, tenancy.clock.now())
        await uow.memberships.add(joined)
    theirs = tenancy.client(user_id=admin.id, tenant_id=tenant, roles=["admin"])
    made, mine = (await theirs.post(PATH, json=WANTED)).json(), (await me.post(PATH, json=WANTED)).json()
    assert (await me.delete(f"/api/tenants/organizations/{tenant}/members/{admin.id}/")).status_code == 204
    shown = {one["id"]: one["created_by"] for one in (await me.get(PATH)).json()["results"]}
    assert shown == {one["id"]: one["created_by"] for one in (made, mine)}
    assert shown[made["id"]] == str(admin.id)
    log = await me.get(f"/api/tenants/organizations/{tenant}/audit-log/", params={"action": "member.removed"})
    (entry,) = log.json()["results"]
    assert entry["details"] == {"before": {"role": "admin"}, "webhook_endpoints_stay": [made["id"]]}


async def _left(tenancy: Tenancy, tenant: UUID) -> dict[str, int]:
    kept = (tables.webhook_endpoints, tables.webhook_deliveries, tables.webhook_attempts)
    return {table.name: len(await tenancy.rows(tenant, table)) for table in kept}


async def _cleared(tenancy: Tenancy) -> list[int]:
    """How many rows of deleted endpoints went, transaction by transaction."""
    went = []
    while True:
        async with tenancy.store.for_system("courier") as uow:
            gone = await uow.webhook_claims.clear()
        if not gone:
            return went
        went.append(gone)


async def test_a_deleted_endpoint_is_gone_at_once_and_what_was_sent_to_it_goes_some_at_a_time(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _cleared(tenancy)
    monkeypatch.setattr(webhook_claims, "CLEARED_AT_ONCE", 3)
    (me, tenant), (other, others_tenant) = await keeper(tenancy), await keeper(tenancy)
    gone, stays, theirs = [(await one.post(PATH, json=WANTED)).json()["id"] for one in (me, me, other)]
    for one, endpoint, messages in ((me, gone, 7), (me, stays, 2), (other, theirs, 2)):
        for _ in range(messages):
            assert (await one.post(f"{PATH}{endpoint}/test/")).status_code == 202
    async with tenancy.store.for_tenant(tenant) as uow:
        for delivery in await uow.webhook_deliveries.page(
            tenant, UUID(gone), state=None, event_type=None, after=None, limit=5
        ):
            tried = Attempt(1, tenancy.clock.now(), 1, 500, None, "", "", "")
            await uow.webhook_deliveries.note(delivery, tried)
    path = f"{PATH}{gone}/"
    assert (await me.delete(path)).status_code == 204
    for answer in (await me.delete(path), await me.get(path), await me.get(f"{path}deliveries/")):
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_endpoint_not_found")
    assert [one["id"] for one in (await me.get(PATH)).json()["results"]] == [stays]
    row = next(row for row in await tenancy.rows(tenant, tables.webhook_endpoints) if str(row["id"]) == gone)
    assert (row["url"], row["secret_sealed"], row["enabled"]) == ("", b"", False)
    assert await _cleared(tenancy) == [3, 3, 1, 1]
    assert await _left(tenancy, tenant) == {"webhook_endpoints": 1, "webhook_deliveries": 2, "webhook_attempts": 0}
    assert await _left(tenancy, others_tenant) == {
        "webhook_endpoints": 1,
        "webhook_deliveries": 2,
        "webhook_attempts": 0,
    }
    assert (await other.get(f"{PATH}{theirs}/")).json()["enabled"] is True


async def test_the_courier_deletes_no_endpoint_that_its_organization_has_not_deleted(tenancy: Tenancy) -> None:
    me, tenant = await keeper(tenancy)
    assert (await me.post(PATH, json=WANTED)).status_code == 201
    async with tenancy.store.for_system("courier") as uow:
        await uow.session.execute(text("delete from webhook_endpoints"))
    assert len(await tenancy.rows(tenant, tables.webhook_endpoints)) == 1


async def test_a_deleted_endpoint_takes_no_place_of_another(tenancy: Tenancy) -> None:
    me, _ = await keeper(tenancy)
    made = [(await me.post(PATH, json=WANTED)).json()["id"] for _ in range(MOST_ENDPOINTS)]
    assert (await me.post(PATH, json=WANTED)).json()["code"] == "too_many_webhook_endpoints"
    assert (await me.delete(f"{PATH}{made[0]}/")).status_code == 204
    assert (await me.post(PATH, json=WANTED)).status_code == 201
