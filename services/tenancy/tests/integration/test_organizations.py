"""Organizations, members, invitations and usage over HTTP, with a second tenant beside."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.testing import ServiceDatabase, answered, eventually, service_client, test_verifier
from sqlalchemy import text
from tenancy.api.app import make_app
from tenancy.domain.people import User
from tenancy.persistence import tables
from tenancy.settings import NAME
from tenancy.testing import QUOTAS, Tenancy, envelope, tenancy_of

pytestmark = pytest.mark.integration
BASE = "/api/tenants/organizations/"
UNLIKE = {"request_id": "", "instance": ""}
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


async def owner_with_organization(tenancy: Tenancy, **data: Any) -> tuple[User, UUID]:
    owner = await tenancy.person()
    return owner, await tenancy.organization(owner, **data)


async def invite(tenancy: Tenancy, owner: User, tenant: UUID, email: str, role: str = "member", **who: Any) -> Any:
    me = tenancy.client(user_id=owner.id, tenant_id=tenant, **who)
    return await me.post(f"{BASE}{tenant}/invite_member/", json={"email": email, "role": role})


async def link(tenancy: Tenancy, email: str) -> str:
    mail = (await tenancy.mails_to(email))[-1]
    (token,) = re.findall(r"/invitations/([\w-]+)", mail.body_text)
    return token


async def accept(tenancy: Tenancy, person: User, token: str) -> Any:
    return await tenancy.client(user_id=person.id).post(f"/api/auth/invitations/{token}/accept/")


async def test_the_organization_object_has_exactly_the_fields_of_the_contract(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    answer = await tenancy.client(user_id=owner.id, tenant_id=tenant).get(f"{BASE}{tenant}/")
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == [
        "id",
        "name",
        "slug",
        "status",
        "plan",
        "owner",
        "email",
        "billing_cycle",
        "subscription_start",
        "subscription_end",
    ]
    assert (body["id"], body["owner"], body["plan"]) == (str(tenant), str(owner.id), "silver")
    assert body["subscription_end"] == "2026-12-22T12:00:00Z"


async def test_the_list_has_all_of_mine_and_nobody_elses(tenancy: Tenancy) -> None:
    owner, first = await owner_with_organization(tenancy)
    second = await tenancy.organization(owner)
    await owner_with_organization(tenancy)
    for active in (first, None):
        answer = (await tenancy.client(user_id=owner.id, tenant_id=active).get(BASE)).json()
        assert {row["id"] for row in answer["results"]} == {str(first), str(second)}
        assert answer["next"] is None


async def test_the_list_goes_on_where_its_cursor_says(tenancy: Tenancy) -> None:
    owner, _ = await owner_with_organization(tenancy)
    for _ in range(2):
        await tenancy.organization(owner)
    me, seen, cursor = tenancy.client(user_id=owner.id), [], None
    while True:
        page = (await me.get(BASE, params={"limit": 1} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [row["id"] for row in page["results"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 3


async def test_a_cursor_that_is_not_ours_is_refused(tenancy: Tenancy) -> None:
    owner, _ = await owner_with_organization(tenancy)
    answer = await tenancy.client(user_id=owner.id).get(BASE, params={"cursor": "WzFd"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


@pytest.mark.invariant("S9")
@pytest.mark.parametrize("path", ["", "members/", "usage/", "invite_member/"])
async def test_a_foreign_organization_is_answered_as_a_missing_one(tenancy: Tenancy, path: str) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    _, theirs = await owner_with_organization(tenancy)
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    answers = []
    for wanted in (theirs, uuid7()):
        if path == "invite_member/":
            answers.append(await me.post(f"{BASE}{wanted}/{path}", json={"email": "x@exemple.cm"}))
        else:
            answers.append(await me.get(f"{BASE}{wanted}/{path}"))
    foreign, missing = answers
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() | UNLIKE == missing.json() | UNLIKE
    unlike = {"x-request-id", "content-length"}
    assert {k: v for k, v in foreign.headers.items() if k not in unlike} == {
        k: v for k, v in missing.headers.items() if k not in unlike
    }


async def test_one_of_mine_that_is_not_active_says_so(tenancy: Tenancy) -> None:
    owner, active = await owner_with_organization(tenancy)
    other = await tenancy.organization(owner)
    answer = await tenancy.client(user_id=owner.id, tenant_id=active).get(f"{BASE}{other}/")
    assert (answer.status_code, answer.json()["code"]) == (409, "organization_not_active")


async def test_without_an_active_organization_only_the_list_answers(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    answer = await tenancy.client(user_id=owner.id, language="fr").get(f"{BASE}{tenant}/")
    assert (answer.status_code, answer.json()["code"]) == (403, "no_active_organization")
    assert answer.json()["detail"].startswith("Aucune organisation active")


@pytest.mark.invariant("S64")
async def test_a_tenant_header_that_differs_from_the_token_is_refused(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    _, theirs = await owner_with_organization(tenancy)
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    request = me.build_request("GET", f"{BASE}{theirs}/")
    signed = next(me.auth.auth_flow(request))
    signed.headers["x-tenant-id"] = str(theirs)
    assert (await me.send(signed, auth=None)).status_code == 401


async def test_members_are_those_of_the_active_organization(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    await owner_with_organization(tenancy)
    answer = (
        await tenancy.client(user_id=owner.id, tenant_id=tenant, roles=["viewer"]).get(f"{BASE}{tenant}/members/")
    ).json()
    (member,) = answer["results"]
    assert (member["user_id"], member["role"], member["email"]) == (str(owner.id), "owner", owner.email)


async def test_usage_shows_figures_beside_limits(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    _, other = await owner_with_organization(tenancy)
    figures = {"esxi_servers_count": 1, "vms_count": 7, "backups_count": 9, "storage_bytes": 2**40}
    await tenancy.receive(envelope("backup-engine", "usage.recorded.v1", tenant, figures | {"later_field": True}))
    answer = (await tenancy.client(user_id=owner.id, tenant_id=tenant).get(f"{BASE}{tenant}/usage/")).json()
    assert answer == {
        "period_start": "2026-11-22",
        "period_end": "2026-12-21",
        "users_count": 1,
        "limits": QUOTAS,
        "over_quota": [{"resource": "storage_gb", "limit": 500, "current": 1100, "over": 600}],
        **figures,
    }
    assert [row["vms_count"] for row in await tenancy.rows(other, tables.usage_metrics)] == [0]


@pytest.mark.invariant("S49")
async def test_an_older_usage_report_changes_nothing(tenancy: Tenancy) -> None:
    _, tenant = await owner_with_organization(tenancy)
    for vms, moment in ((7, "2026-11-22T15:00:00Z"), (3, "2026-11-22T14:00:00Z")):
        report = {"vms_count": vms, "backups_count": None, "measured_at": moment}
        await tenancy.receive(envelope("backup-engine", "usage.recorded.v1", tenant, report))
    (row,) = await tenancy.rows(tenant, tables.usage_metrics)
    assert row["vms_count"] == 7


async def test_a_new_month_starts_without_backups_and_keeps_the_rest(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    report = {"vms_count": 7, "backups_count": 9, "storage_bytes": 5}
    await tenancy.receive(envelope("backup-engine", "usage.recorded.v1", tenant, report))
    tenancy.clock.advance(timedelta(days=31))
    answer = (await tenancy.client(user_id=owner.id, tenant_id=tenant).get(f"{BASE}{tenant}/usage/")).json()
    assert (answer["period_start"], answer["vms_count"], answer["backups_count"]) == ("2026-12-22", 7, 0)


@pytest.mark.invariant("S57")
async def test_an_invited_person_joins_once(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    guest = await tenancy.person()
    assert (await invite(tenancy, owner, tenant, guest.email)).status_code == 201
    token = await link(tenancy, guest.email)
    (stored,) = await tenancy.rows(tenant, tables.invitations)
    assert token.encode() not in stored["token_hash"]
    accepted = await accept(tenancy, guest, token)
    assert accepted.json() == {"organization": str(tenant), "role": "member"}
    again = await accept(tenancy, guest, token)
    assert (again.status_code, again.json()) == (200, accepted.json()), "a second click"
    other = await accept(tenancy, await tenancy.person(), token)
    assert (other.status_code, other.json()["code"]) == (404, "token_not_found")
    assert len(await tenancy.rows(tenant, tables.memberships)) == 2
    (usage,) = await tenancy.rows(tenant, tables.usage_metrics)
    assert usage["users_count"] == 2
    told = [fact["type"] for fact in await tenancy.facts(tenant)]
    assert told == ["org.provisioned.v1", "org.particulars_changed.v1", "member.joined.v1"]


@pytest.mark.invariant("S57")
async def test_an_invitation_is_bound_to_its_address(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    guest, thief = await tenancy.person(), await tenancy.person()
    await invite(tenancy, owner, tenant, guest.email)
    stolen = await accept(tenancy, thief, await link(tenancy, guest.email))
    assert (stolen.status_code, stolen.json()["code"]) == (403, "invitation_for_another_address")
    assert len(await tenancy.rows(tenant, tables.memberships)) == 1


@pytest.mark.invariant("S57")
async def test_a_used_invitation_lets_nobody_back_who_was_removed(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    guest = await tenancy.person()
    await invite(tenancy, owner, tenant, guest.email)
    token = await link(tenancy, guest.email)
    assert (await accept(tenancy, guest, token)).status_code == 200
    me = tenancy.client(user_id=owner.id, tenant_id=tenant, roles=["owner"])
    assert (await me.delete(f"{BASE}{tenant}/members/{guest.id}/")).status_code == 204
    again = await accept(tenancy, guest, token)
    assert (again.status_code, again.json()["code"]) == (404, "token_not_found")
    assert len(await tenancy.rows(tenant, tables.memberships)) == 1


async def test_a_strangers_mailbox_is_not_filled_by_inviting_him_again_and_again(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    other_owner, other = await owner_with_organization(tenancy)
    me = tenancy.client(user_id=owner.id, tenant_id=tenant, roles=["owner"])
    for _ in range(3):
        made = await invite(tenancy, owner, tenant, "x@exemple.cm")
        assert (await me.delete(f"{BASE}{tenant}/invitations/{made.json()['id']}/")).status_code == 204
        tenancy.clock.advance(timedelta(minutes=1))
    refused = await invite(tenancy, owner, tenant, "x@exemple.cm")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_invitations")
    assert int(refused.headers["retry-after"]) == 57 * 60
    assert (await invite(tenancy, owner, tenant, "y@exemple.cm")).status_code == 201
    assert (await invite(tenancy, other_owner, other, "x@exemple.cm")).status_code == 201, "another organization's wish"
    tenancy.clock.advance(timedelta(minutes=58))
    assert (await invite(tenancy, owner, tenant, "x@exemple.cm")).status_code == 201


async def test_an_invitation_is_in_the_words_of_its_language(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    await invite(tenancy, owner, tenant, "words@exemple.cm", "viewer")
    (mail,) = await tenancy.mails_to("words@exemple.cm")
    assert "avec le rôle de lecteur" in mail.body_text
    assert "29/11/2026" in mail.body_text


@pytest.mark.invariant("S57")
async def test_an_invitation_expires(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    guest = await tenancy.person()
    await invite(tenancy, owner, tenant, guest.email)
    tenancy.clock.advance(timedelta(days=8))
    late = await accept(tenancy, guest, await link(tenancy, guest.email))
    assert (late.status_code, late.json()["code"]) == (410, "token_expired")


async def test_a_newer_invitation_replaces_the_older(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    guest = await tenancy.person()
    await invite(tenancy, owner, tenant, guest.email)
    older = await link(tenancy, guest.email)
    await invite(tenancy, owner, tenant, guest.email, "viewer")
    assert (await accept(tenancy, guest, older)).status_code == 404
    assert (await accept(tenancy, guest, await link(tenancy, guest.email))).json()["role"] == "viewer"


async def test_members_and_viewers_may_not_invite(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    for role in ("member", "viewer"):
        answer = await invite(tenancy, owner, tenant, "x@exemple.cm", roles=[role])
        assert (answer.status_code, answer.json()["code"]) == (403, "role_required")


@pytest.mark.invariant("S60")
async def test_only_an_owner_grants_the_role_of_owner(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    by_admin = await invite(tenancy, owner, tenant, "x@exemple.cm", "owner", roles=["admin"])
    assert (by_admin.status_code, by_admin.json()["code"]) == (403, "role_not_grantable")
    assert (await invite(tenancy, owner, tenant, "x@exemple.cm", "owner")).status_code == 201


async def test_an_unverified_address_may_not_invite(tenancy: Tenancy) -> None:
    owner = await tenancy.person(verified=False)
    tenant = await tenancy.organization(owner)
    answer = await invite(tenancy, owner, tenant, "x@exemple.cm")
    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")


async def test_a_member_is_not_invited_again(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    answer = await invite(tenancy, owner, tenant, owner.email)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_member")


async def test_invitations_count_against_the_plans_users(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    answers = [await invite(tenancy, owner, tenant, f"p{i}@exemple.cm") for i in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 403]
    assert (
        answers[-1].json().items() >= {"code": "quota_reached", "resource": "users", "limit": 3, "current": 3}.items()
    )


@pytest.fixture
async def crowded(database: ServiceDatabase) -> AsyncIterator[Tenancy]:
    """The service with more connections than usual: three dozen requests are in the database at once, others in line."""
    settings = database.settings.model_copy(update={"database_pool_size": 24})
    async with tenancy_of(replace(database, settings=settings)) as made:
        yield made


@pytest.mark.timeout(300)
@pytest.mark.invariant("S39")
async def test_parallel_acceptances_never_exceed_the_plans_users(crowded: Tenancy) -> None:
    tenancy, seats = crowded, 10
    app = make_app(tenancy.tools, test_verifier(NAME))  # one for all: to make fifty takes longer than to join
    owner, tenant = await owner_with_organization(tenancy)
    await tenancy.set_quota(tenant, "max_users", 51)
    guests = [await tenancy.person() for _ in range(50)]
    me = service_client(app, NAME, user_id=owner.id, tenant_id=tenant)
    for guest in guests:
        assert (await me.post(f"{BASE}{tenant}/invite_member/", json={"email": guest.email})).status_code == 201
    paths = [f"/api/auth/invitations/{await link(tenancy, guest.email)}/accept/" for guest in guests]
    await tenancy.set_quota(tenant, "max_users", 1 + seats)
    joining = [
        partial(service_client(app, NAME, user_id=guest.id).post, path)
        for guest, path in zip(guests, paths, strict=True)
    ]

    async def many_wait() -> bool:
        async with tenancy.store.for_tenant(tenant) as uow:
            waiting: int = await uow.session.scalar(text(WAITING))
            return waiting >= 2 * seats

    async with tenancy.store.for_tenant(tenant) as uow:
        # Nobody joins before twice as many as there are seats have counted, or wait for another before counting.
        await uow.session.execute(text(f"lock table {tables.memberships.fullname} in share mode"))
        accepting = [asyncio.create_task(answered(join)) for join in joining]
        await eventually(many_wait, seconds=30, what="acceptances wait")
    answers = await asyncio.gather(*accepting)
    assert sorted(answer.status_code for answer in answers) == [200] * seats + [403] * (50 - seats)
    assert {answer.json()["code"] for answer in answers if answer.status_code == 403} == {"quota_reached"}
    assert len(await tenancy.rows(tenant, tables.memberships)) == 1 + seats


@pytest.mark.invariant("S42")
async def test_a_suspended_organization_is_read_but_nobody_is_invited(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    await tenancy.set_status(tenant, "suspended")
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    assert (await me.get(f"{BASE}{tenant}/")).json()["status"] == "suspended"
    answer = await invite(tenancy, owner, tenant, "x@exemple.cm")
    assert (answer.status_code, answer.json()["code"]) == (403, "organization_suspended")
    assert "/api/tenants/orders/" in answer.json()["detail"]


@pytest.mark.invariant("S43")
async def test_one_idempotency_key_sends_one_invitation(tenancy: Tenancy) -> None:
    owner, tenant = await owner_with_organization(tenancy)
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    email, headers = f"{uuid7().hex}@exemple.cm", {"Idempotency-Key": uuid7().hex}
    url = f"{BASE}{tenant}/invite_member/"
    answers = await asyncio.gather(*(me.post(url, json={"email": email}, headers=headers) for _ in range(50)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.text for a in answers}) == 1
    assert len(await tenancy.mails_to(email)) == 1
    other = await me.post(url, json={"email": "z@exemple.cm"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_unknown_query_fields_are_refused(tenancy: Tenancy) -> None:
    owner, _ = await owner_with_organization(tenancy)
    answer = await tenancy.client(user_id=owner.id).get(BASE, params={"tenant": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
