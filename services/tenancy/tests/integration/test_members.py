"""Members, roles, owners, invitations and settings, with a second tenant and with several at once."""

import asyncio
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from tenancy.domain.membership import Membership
from tenancy.domain.people import User
from tenancy.domain.roles import Role
from tenancy.persistence import tables
from tenancy.testing import Tenancy

pytestmark = pytest.mark.integration


def path(tenant: UUID, rest: str) -> str:
    return f"/api/tenants/organizations/{tenant}/{rest}"


async def joined(tenancy: Tenancy, tenant: UUID, role: str) -> User:
    """A member, without the invitation that others test."""
    person = await tenancy.person()
    async with tenancy.store.for_tenant(tenant) as uow:
        joined_at = tenancy.clock.now()
        await uow.memberships.add(Membership(tenant, person.id, Role(role), person.email, person.full_name, joined_at))
    return person


async def roles(tenancy: Tenancy, tenant: UUID) -> dict[UUID, str]:
    return {row["user_id"]: row["role"] for row in await tenancy.rows(tenant, tables.memberships)}


def acting(tenancy: Tenancy, person: User, tenant: UUID, role: str) -> Any:
    return tenancy.client(user_id=person.id, tenant_id=tenant, roles=[role])


@pytest.mark.invariant("S60")
@pytest.mark.parametrize("way", ["leave", "remove", "demote"])
async def test_the_last_owner_stays_whatever_is_tried(tenancy: Tenancy, way: str) -> None:
    owner, tenant = await tenancy.owned()
    me = acting(tenancy, owner, tenant, "owner")
    answer = {
        "leave": lambda: me.post(path(tenant, "leave/")),
        "remove": lambda: me.delete(path(tenant, f"members/{owner.id}/")),
        "demote": lambda: me.patch(path(tenant, f"members/{owner.id}/"), json={"role": "admin"}),
    }[way]
    refused = await answer()
    assert (refused.status_code, refused.json()["code"]) == (409, "last_owner")
    assert await roles(tenancy, tenant) == {owner.id: "owner"}


@pytest.mark.invariant("S60")
async def test_two_owners_who_leave_at_once_do_not_both_go(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    second = await joined(tenancy, tenant, "owner")
    leaving = [acting(tenancy, person, tenant, "owner").post(path(tenant, "leave/")) for person in (owner, second)]
    answers = await asyncio.gather(*leaving)
    assert sorted(answer.status_code for answer in answers) == [204, 409]
    assert list((await roles(tenancy, tenant)).values()) == ["owner"]


@pytest.mark.invariant("S60")
@pytest.mark.parametrize(("by", "target", "wanted"), [
    ("admin", "owner", "member"), ("admin", "member", "owner"), ("admin", "admin", "owner"),
])  # fmt: skip
async def test_only_owners_make_and_unmake_owners(tenancy: Tenancy, by: str, target: str, wanted: str) -> None:
    _, tenant = await tenancy.owned()
    one, other = await joined(tenancy, tenant, by), await joined(tenancy, tenant, target)
    me = acting(tenancy, one, tenant, by)
    answer = await me.patch(path(tenant, f"members/{other.id}/"), json={"role": wanted})
    assert (answer.status_code, answer.json()["code"]) == (403, "role_not_grantable")
    if target == "owner":
        assert (await me.delete(path(tenant, f"members/{other.id}/"))).status_code == 403
    assert (await roles(tenancy, tenant))[other.id] == target


@pytest.mark.invariant("S60")
async def test_a_refusal_names_the_role_that_is_out_of_reach_in_the_readers_language(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    admin = await joined(tenancy, tenant, "admin")
    me = tenancy.client(user_id=admin.id, tenant_id=tenant, roles=["admin"], language="fr")
    down = await me.patch(path(tenant, f"members/{owner.id}/"), json={"role": "viewer"})
    away = await me.delete(path(tenant, f"members/{owner.id}/"))
    for refused in (down, away):
        assert (refused.json()["code"], refused.json()["role"]) == ("role_not_grantable", "owner")
        assert "retirer le rôle de propriétaire" in refused.json()["detail"]


async def test_who_was_demoted_meanwhile_promotes_nobody_with_an_old_token(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    former, friend = await joined(tenancy, tenant, "owner"), await joined(tenancy, tenant, "member")
    demoted = await acting(tenancy, owner, tenant, "owner").patch(
        path(tenant, f"members/{former.id}/"), json={"role": "viewer"}
    )
    assert demoted.json()["role"] == "viewer"
    stale = acting(tenancy, former, tenant, "owner")
    assert (await stale.patch(path(tenant, f"members/{friend.id}/"), json={"role": "owner"})).status_code == 403
    assert (await stale.post(path(tenant, "transfer_ownership/"), json={"user_id": str(friend.id)})).status_code == 403
    assert (await stale.delete(path(tenant, f"members/{friend.id}/"))).status_code == 403


@pytest.mark.invariant("S54")
async def test_keys_that_may_do_more_than_their_demoted_maker_end_with_his_role(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    await tenancy.set_features(tenant, has_api_access=True)
    former = await joined(tenancy, tenant, "admin")
    ids = {}
    for maker, role in ((former, "admin"), (former, "member"), (former, "viewer"), (owner, "admin")):
        wanted = {"name": "Supervision", "role": role, "scopes": ["backups:read"]}
        client = acting(tenancy, maker, tenant, "owner" if maker is owner else "admin")
        ids[maker, role] = (await client.post("/api/tenants/api-keys/", json=wanted)).json()["id"]
    me = acting(tenancy, owner, tenant, "owner")
    assert (await me.patch(path(tenant, f"members/{former.id}/"), json={"role": "member"})).status_code == 200
    rows = await tenancy.rows(tenant, tables.api_keys)
    assert {str(row["id"]) for row in rows if row["revoked_at"]} == {ids[former, "admin"]}
    told = [fact for fact in await tenancy.facts(tenant) if fact["type"] == "api_key.revoked.v1"]
    assert [fact["data"]["key_id"] for fact in told] == [ids[former, "admin"]]
    acts = await tenancy.rows(tenant, tables.metadata.tables["audit_log"])
    (ended,) = [act for act in acts if act["action"] == "api_key.revoked"]
    assert (ended["actor"], ended["target"]) == (str(owner.id), ids[former, "admin"])
    assert (await me.patch(path(tenant, f"members/{former.id}/"), json={"role": "viewer"})).status_code == 200
    rows = await tenancy.rows(tenant, tables.api_keys)
    assert {str(row["id"]) for row in rows if not row["revoked_at"]} == {ids[former, "viewer"], ids[owner, "admin"]}


async def test_an_organization_is_handed_over_and_everybody_hears_of_it(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    heir = await joined(tenancy, tenant, "member")
    me = acting(tenancy, owner, tenant, "owner")
    assert (await me.post(path(tenant, "transfer_ownership/"), json={"user_id": str(heir.id)})).status_code == 200
    assert await roles(tenancy, tenant) == {owner.id: "admin", heir.id: "owner"}
    told = (await tenancy.facts(tenant))[-1]
    assert (told["type"], told["data"]["owner"], told["aggregateversion"]) == ("org.updated.v1", str(heir.id), 2)
    assert (await me.post(path(tenant, "leave/"))).status_code == 204


async def test_when_the_owner_it_goes_by_leaves_the_next_one_takes_his_place(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    second = await joined(tenancy, tenant, "owner")
    assert (await acting(tenancy, owner, tenant, "owner").post(path(tenant, "leave/"))).status_code == 204
    (organization,) = await tenancy.rows(tenant, tables.organizations)
    assert organization["owner_user_id"] == second.id


@pytest.mark.invariant("S54")
async def test_a_removed_member_is_told_of_and_loses_the_keys_that_he_made(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    admin = await joined(tenancy, tenant, "admin")
    await tenancy.set_features(tenant, has_api_access=True)
    key = {"name": "CI", "scopes": ["backups:read"]}
    made = (await acting(tenancy, admin, tenant, "admin").post("/api/tenants/api-keys/", json=key)).json()
    me = acting(tenancy, owner, tenant, "owner")
    assert (await me.delete(path(tenant, f"members/{admin.id}/"))).status_code == 204
    facts = {fact["type"]: fact["data"] for fact in await tenancy.facts(tenant)}
    assert facts["member.removed.v1"] == {"user_id": str(admin.id), "removed_by": str(owner.id)}
    assert facts["api_key.revoked.v1"] == {"key_id": made["id"]}
    (usage,) = await tenancy.rows(tenant, tables.usage_metrics)
    assert usage["users_count"] == 1
    assert (await me.delete(path(tenant, f"members/{admin.id}/"))).json()["code"] == "member_not_found"


@pytest.mark.invariant("S9")
async def test_a_foreign_member_is_answered_as_a_missing_one(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    stranger, _ = await tenancy.owned()
    me = acting(tenancy, owner, tenant, "owner")
    for call in (
        lambda who: me.patch(path(tenant, f"members/{who}/"), json={"role": "viewer"}),
        lambda who: me.delete(path(tenant, f"members/{who}/")),
        lambda who: me.post(path(tenant, "transfer_ownership/"), json={"user_id": str(who)}),
    ):
        foreign, missing = await call(stranger.id), await call(uuid7())
        assert foreign.status_code == missing.status_code == 404
        unlike = {"request_id": "", "instance": ""}
        assert foreign.json() | unlike == missing.json() | unlike


@pytest.mark.invariant("S42")
async def test_a_suspended_organization_changes_no_role_but_lets_people_go(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    member = await joined(tenancy, tenant, "member")
    await tenancy.set_status(tenant, "suspended")
    me = acting(tenancy, owner, tenant, "owner")
    for refused in (
        await me.patch(path(tenant, f"members/{member.id}/"), json={"role": "viewer"}),
        await me.post(path(tenant, "transfer_ownership/"), json={"user_id": str(member.id)}),
        await me.patch(path(tenant, "settings/"), json={"name": "x"}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "organization_suspended")
    assert (await me.delete(path(tenant, f"members/{member.id}/"))).status_code == 204


@pytest.mark.invariant("S57")
async def test_an_invitation_is_sent_again_with_a_new_link_and_taken_back(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    guest = await tenancy.person()
    me = acting(tenancy, owner, tenant, "owner")
    made = (await me.post(path(tenant, "invite_member/"), json={"email": guest.email})).json()
    again = path(tenant, f"invitations/{made['id']}/resend/")
    early = await me.post(again)
    assert (early.status_code, early.json()["code"]) == (429, "invitation_just_sent")
    assert int(early.headers["retry-after"]) > 0
    tenancy.clock.advance(timedelta(days=8))
    assert (await me.post(again)).status_code == 200
    (listed,) = (await me.get(path(tenant, "invitations/"))).json()["results"]
    assert (listed["id"], listed["email"]) == (made["id"], guest.email)
    mails = await tenancy.mails_to(guest.email)
    older, newer = [re.findall(r"/invitations/([\w-]+)", mail.body_text)[0] for mail in mails]
    as_guest = tenancy.client(user_id=guest.id)
    assert (await as_guest.post(f"/api/auth/invitations/{older}/accept/")).status_code == 404
    assert (await me.delete(path(tenant, f"invitations/{made['id']}/"))).status_code == 204
    assert (await as_guest.post(f"/api/auth/invitations/{newer}/accept/")).status_code == 404
    assert (await me.delete(path(tenant, f"invitations/{made['id']}/"))).status_code == 404
    assert (await me.get(path(tenant, "invitations/"))).json()["results"] == []


async def test_an_invitation_of_another_organization_is_none(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    other, theirs = await tenancy.owned()
    made = await acting(tenancy, other, theirs, "owner").post(
        path(theirs, "invite_member/"), json={"email": "x@exemple.cm"}
    )
    me = acting(tenancy, owner, tenant, "owner")
    assert (await me.delete(path(tenant, f"invitations/{made.json()['id']}/"))).status_code == 404
    assert (await me.post(path(tenant, f"invitations/{made.json()['id']}/resend/"))).status_code == 404


async def test_settings_change_one_by_one_and_tell_before_and_after(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    _, other = await tenancy.owned()
    me = acting(tenancy, owner, tenant, "admin")
    changed = await me.patch(path(tenant, "settings/"), json={"name": "Ngoma SARL", "niu": "P012345678901X"})
    assert changed.status_code == 200
    assert (await me.get(path(tenant, "settings/"))).json() == {
        "name": "Ngoma SARL",
        "email": "it@exemple.cm",
        "phone": None,
        "address": None,
        "rccm": None,
        "niu": "P012345678901X",
        "technical_email": None,
    }
    updated, particulars = (await tenancy.facts(tenant))[-2:]
    assert (updated["type"], updated["data"]["name"]) == ("org.updated.v1", "Ngoma SARL")
    assert "niu" not in updated["data"]
    assert (particulars["type"], particulars["aggregateversion"]) == ("org.particulars_changed.v1", 2)
    assert particulars["data"] == {
        "name": "Ngoma SARL", "email": "it@exemple.cm", "phone": None, "address": None, "rccm": None,
        "niu": "P012345678901X",
    }  # fmt: skip
    entry = (await me.get(path(tenant, "audit-log/"))).json()["results"][0]
    assert entry["details"] == {
        "before": {"name": "Société Exemple", "niu": None},
        "after": {"name": "Ngoma SARL", "niu": "P012345678901X"},
    }
    assert (await me.patch(path(tenant, "settings/"), json={"name": "Ngoma SARL"})).status_code == 200
    assert len(await tenancy.facts(tenant)) == 4
    (theirs,) = await tenancy.rows(other, tables.organizations)
    assert theirs["name"] == "Société Exemple"


async def test_an_address_that_no_invoice_names_is_not_told_to_billing(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    me = acting(tenancy, owner, tenant, "owner")
    assert (await me.patch(path(tenant, "settings/"), json={"technical_email": "ops@exemple.cm"})).is_success
    assert (await tenancy.facts(tenant))[-1]["type"] == "org.updated.v1"


@pytest.mark.parametrize(
    "body",
    [{"name": ""}, {"name": None}, {"name": "\u200b\u202e"}, {"email": "nobody"}, {"phone": "call me"}, {"slug": "x"}],
)
async def test_settings_that_make_no_sense_are_refused(tenancy: Tenancy, body: dict[str, Any]) -> None:
    owner, tenant = await tenancy.owned()
    assert (
        await acting(tenancy, owner, tenant, "owner").patch(path(tenant, "settings/"), json=body)
    ).status_code == 422


async def test_a_name_is_one_line_of_what_people_see(tenancy: Tenancy) -> None:
    owner, tenant = await tenancy.owned()
    me = acting(tenancy, owner, tenant, "owner")
    sent = {"name": "Ngoma\r\nBcc: x@exemple.cm \u202eLRAS", "address": "BP 1\nDouala"}
    kept = (await me.patch(path(tenant, "settings/"), json=sent)).json()
    assert (kept["name"], kept["address"]) == ("Ngoma Bcc: x@exemple.cm LRAS", "BP 1\nDouala")
