"""Somebody of the staff acts in an owner's name: with a second factor, for a while, reading only, seen by the customer."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from common.persistence.mechanisms import audit_log
from common.testing import ServiceClient
from sqlalchemy import select
from tenancy.domain.people import Language, User
from tenancy.domain.totp import new_secret
from tenancy.persistence import tables
from tenancy.testing import Tenancy
from tenancy.workflows.overdue_impersonations import end_overdue

from .identity import claims, session

pytestmark = pytest.mark.integration
REASON = {"reason": "ticket 4711: no backups since Monday"}


@dataclass
class Desk:
    """A member of the staff who has signed in with a second factor."""

    tenancy: Tenancy
    person: User
    session_id: UUID

    def client(self, *roles: str) -> ServiceClient:
        return self.tenancy.client(user_id=self.person.id, session_id=self.session_id, staff=roles or ("support",))

    async def start(self, tenant: UUID, **more: Any) -> Any:
        return await self.client().post(admin_path(tenant), json=REASON | more)


def admin_path(tenant: UUID, rest: str = "") -> str:
    return f"/api/admin/organizations/{tenant}/impersonations/{rest}"


def own_path(tenant: UUID, rest: str = "") -> str:
    return f"/api/tenants/organizations/{tenant}/impersonations/{rest}"


async def desk_of(tenancy: Tenancy) -> Desk:
    secret = new_secret()
    person = await tenancy.staff(secret)
    code = pyotp.TOTP(secret).at(tenancy.clock.now())
    one = await session(tenancy, person, totp_code=code)
    return Desk(tenancy, person, one.id)


@pytest.fixture
async def desk(tenancy: Tenancy) -> Desk:
    return await desk_of(tenancy)


async def log_of(tenancy: Tenancy, tenant: UUID, prefix: str) -> list[Any]:
    async with tenancy.store.for_tenant(tenant) as uow:
        rows = await uow.session.execute(
            select(audit_log).where(audit_log.c.action.like(f"{prefix}%")).order_by(audit_log.c.id)
        )
        return list(rows.mappings())


@pytest.mark.invariant("S76")
async def test_a_token_names_both_and_gives_a_viewers_role(tenancy: Tenancy, desk: Desk) -> None:
    owner, tenant = await tenancy.owned()
    answer = await desk.start(tenant, minutes=30)
    assert answer.status_code == 201, answer.text
    told = claims(tenancy, answer.json()["access_token"])
    assert (told["sub"], told["act"]) == (str(owner.id), {"sub": str(desk.person.id)})
    assert (told["tenant"], told["roles"], told["staff"]) == (str(tenant), ["viewer"], [])
    assert told["sid"] == answer.json()["id"]
    assert told["exp"] - told["iat"] == 600


@pytest.mark.invariant("S76")
async def test_without_a_second_factor_proved_lately_nobody_acts_for_a_customer(tenancy: Tenancy, desk: Desk) -> None:
    _, tenant = await tenancy.owned()
    plain = await tenancy.person()
    one = await session(tenancy, plain)
    for who, signed_in in ((plain.id, one.id), (desk.person.id, one.id), (plain.id, desk.session_id)):
        client = tenancy.client(user_id=who, session_id=signed_in, staff=("support",))
        refused = await client.post(admin_path(tenant), json=REASON)
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_unproved")
    tenancy.clock.advance(timedelta(minutes=15))
    assert (await desk.start(tenant)).json()["code"] == "second_factor_unproved"
    assert await tenancy.rows(tenant, tables.impersonations) == []


@pytest.mark.parametrize("wrong", [{"minutes": 61}, {"minutes": 0}, {"reason": ""}, {"reason": None}])
async def test_it_wants_a_reason_and_an_hour_at_most(tenancy: Tenancy, desk: Desk, wrong: dict[str, Any]) -> None:
    _, tenant = await tenancy.owned()
    assert (await desk.start(tenant, **wrong)).status_code == 422
    assert await tenancy.rows(tenant, tables.impersonations) == []


@pytest.mark.parametrize("language", Language)
async def test_the_owner_gets_a_letter_and_reads_who_why_and_until_when(
    tenancy: Tenancy, desk: Desk, language: Language
) -> None:
    owner = await tenancy.person(language=language)
    tenant = await tenancy.organization(owner)
    stranger, theirs = await tenancy.owned()
    assert (await desk.start(tenant)).status_code == 201
    mail = (await tenancy.mails_to(owner.email))[-1]
    assert (REASON["reason"] in mail.body_text, "15 minutes" in mail.subject) == (True, True)
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    (row,) = (await me.get(own_path(tenant))).json()["results"]
    assert (row["staff_user_id"], row["reason"]) == (str(desk.person.id), REASON["reason"])
    entries = (await me.get(f"/api/tenants/organizations/{tenant}/audit-log/")).json()["results"]
    (entry,) = [one for one in entries if one["action"] == "impersonation.started"]
    assert (entry["actor"], entry["reason"]) == (str(desk.person.id), REASON["reason"])
    assert entry["details"]["as_user"] == str(owner.id)
    as_stranger = tenancy.client(user_id=stranger.id, tenant_id=theirs)
    assert (await as_stranger.get(own_path(theirs))).json()["results"] == []
    assert (await as_stranger.get(own_path(tenant))).status_code == 404


@pytest.mark.invariant("S77")
async def test_whoever_acts_for_a_customer_reads_and_no_more(tenancy: Tenancy, desk: Desk) -> None:
    owner, tenant = await tenancy.owned()
    acting = tenancy.client(user_id=owner.id, tenant_id=tenant, roles=["viewer"], actor_id=desk.person.id)
    base = f"/api/tenants/organizations/{tenant}/"
    assert (await acting.get(f"{base}usage/")).status_code == 200
    # Also where a role would let them in: what the token may not, no role gives.
    mighty = tenancy.client(
        user_id=owner.id, tenant_id=tenant, roles=["owner"], staff=["admin"], actor_id=desk.person.id
    )
    tries = [
        ("POST", "/api/auth/password/", {"current_password": "x", "password": "y"}),
        ("GET", "/api/auth/sessions/", None),
        ("GET", "/api/auth/user/", None),
        ("POST", "/api/auth/logout-everywhere/", None),
        ("POST", "/api/tenants/api-keys/", {"name": "k"}),
        ("POST", f"{base}deletion/", {"confirmation": "x"}),
        ("PATCH", f"{base}settings/", {"name": "Autre"}),
        ("POST", f"{base}invite_member/", {"email": "a@exemple.cm"}),
        ("POST", admin_path(tenant), REASON),
    ]
    for method, path, body in tries:
        refused = await mighty.request(method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "read_only_impersonation"), (method, path)


@pytest.mark.invariant("S78")
@pytest.mark.parametrize("who", ["actor", "owner", "platform"])
async def test_it_ends_by_command_and_the_gateway_hears_of_it(tenancy: Tenancy, desk: Desk, who: str) -> None:
    owner, tenant = await tenancy.owned()
    made = (await desk.start(tenant)).json()
    other = await desk_of(tenancy)
    if who == "owner":
        client, path = tenancy.client(user_id=owner.id, tenant_id=tenant), own_path(tenant, f"{made['id']}/")
    else:
        client = desk.client() if who == "actor" else other.client("admin")
        path = admin_path(tenant, f"{made['id']}/")
    for _ in range(2):
        assert (await client.delete(path)).status_code == 204
    ended = [fact for fact in await tenancy.facts(tenant) if fact["type"] == "session.revoked.v1"]
    assert [fact["data"]["session_id"] for fact in ended] == [made["id"]]
    (row,) = await log_of(tenancy, tenant, "impersonation.ended")
    assert row["details"]["staff"] == str(desk.person.id)
    again = await desk.client().post(admin_path(tenant, f"{made['id']}/token/"))
    assert (again.status_code, again.json()["code"]) == (410, "impersonation_ended")


async def test_nobody_else_ends_it_or_goes_on_with_it(tenancy: Tenancy, desk: Desk) -> None:
    _, tenant = await tenancy.owned()
    stranger, theirs = await tenancy.owned()
    made = (await desk.start(tenant)).json()
    other = await desk_of(tenancy)
    foreign = tenancy.client(user_id=stranger.id, tenant_id=theirs)
    answers = [
        await other.client().delete(admin_path(tenant, f"{made['id']}/")),
        await other.client("admin").post(admin_path(tenant, f"{made['id']}/token/")),
        await desk.client().delete(admin_path(theirs, f"{made['id']}/")),
        await foreign.delete(own_path(theirs, f"{made['id']}/")),
        await foreign.delete(own_path(tenant, f"{made['id']}/")),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    (row,) = await tenancy.rows(tenant, tables.impersonations)
    assert row["ended_at"] is None


@pytest.mark.invariant("S78")
async def test_it_ends_by_itself_and_no_token_outlives_it(tenancy: Tenancy, desk: Desk) -> None:
    _, tenant = await tenancy.owned()
    made = (await desk.start(tenant, minutes=12)).json()
    tenancy.clock.advance(timedelta(minutes=5))
    later = (await desk.client().post(admin_path(tenant, f"{made['id']}/token/"))).json()
    assert later["expires_in"] == 7 * 60
    told = claims(tenancy, later["access_token"])
    assert told["exp"] - told["iat"] == 7 * 60
    assert await end_overdue(tenancy.store) == 0
    tenancy.clock.advance(timedelta(minutes=7))
    assert (await desk.client().post(admin_path(tenant, f"{made['id']}/token/"))).json()[
        "code"
    ] == "impersonation_ended"
    await end_overdue(tenancy.store)
    await end_overdue(tenancy.store)
    (row,) = await log_of(tenancy, tenant, "impersonation.ended")
    assert (row["actor"], row["reason"]) == ("tenancy", "its time was over")


async def test_an_audit_row_written_while_somebody_acts_names_both(tenancy: Tenancy, desk: Desk) -> None:
    from common.telemetry.context import impersonated_by

    owner, tenant = await tenancy.owned()
    with impersonated_by(str(desk.person.id)):
        async with tenancy.store.for_tenant(tenant) as uow:
            await uow.audit("something.read", "1", actor=owner.id)
    (row,) = await log_of(tenancy, tenant, "something.")
    assert (row["actor"], row["details"]) == (str(owner.id), {"impersonator": str(desk.person.id)})
