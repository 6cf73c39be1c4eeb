"""Somebody of the staff acts in an owner's name: with a second factor, for a while, reading only, seen by the customer."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from common.persistence.mechanisms import audit_log
from common.testing import ServiceClient, eventually
from sqlalchemy import select
from tenancy.domain.people import Language, User
from tenancy.domain.roles import StaffRole
from tenancy.domain.totp import new_secret
from tenancy.errors import StaffNotFound
from tenancy.persistence import tables
from tenancy.testing import Tenancy
from tenancy.usecases.create_staff import create_staff
from tenancy.usecases.dismiss_staff import dismiss_staff
from tenancy.usecases.impersonate import start_impersonation
from tenancy.usecases.steps.end_sessions import end_sessions
from tenancy.workflows import impersonating
from tenancy.workflows.overdue_impersonations import end_overdue

from .identity import alive, claims, is_somebody_waiting, session

pytestmark = pytest.mark.integration
REASON = {"reason": "ticket 4711: no backups since Monday"}


@dataclass
class Desk:
    """A member of the staff who has signed in with a second factor."""

    tenancy: Tenancy
    person: User
    session_id: UUID
    secret: str

    def client(self, *roles: str) -> ServiceClient:
        return self.tenancy.client(user_id=self.person.id, session_id=self.session_id, staff=roles or ("support",))

    async def sign_in_again(self) -> "Desk":
        return await signed_in_at_desk(self.tenancy, self.person, self.secret)

    async def start(self, tenant: UUID, **more: Any) -> Any:
        return await self.client().post(admin_path(tenant), json=REASON | more)


def admin_path(tenant: UUID, rest: str = "") -> str:
    return f"/api/admin/organizations/{tenant}/impersonations/{rest}"


def own_path(tenant: UUID, rest: str = "") -> str:
    return f"/api/tenants/organizations/{tenant}/impersonations/{rest}"


async def desk_of(tenancy: Tenancy) -> Desk:
    secret = new_secret()
    return await signed_in_at_desk(tenancy, await tenancy.staff(secret), secret)


async def signed_in_at_desk(tenancy: Tenancy, person: User, secret: str) -> Desk:
    code = pyotp.TOTP(secret).at(tenancy.clock.now())
    one = await session(tenancy, person, totp_code=code)
    return Desk(tenancy, person, one.id, secret)


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


@pytest.mark.invariant("S86")
async def test_the_owner_reads_in_his_audit_log_what_was_asked_in_his_name(tenancy: Tenancy, desk: Desk) -> None:
    owner, tenant = await tenancy.owned()
    stranger, theirs = await tenancy.owned()
    made = (await desk.start(tenant)).json()["id"]
    acting = tenancy.client(
        user_id=owner.id, tenant_id=tenant, session_id=UUID(made), roles=["viewer"], actor_id=desk.person.id
    )
    base = f"/api/tenants/organizations/{tenant}/"
    for path, status in (("usage/?", 200), ("members/?limit=5", 200), ("audit-log/", 403)):
        assert (await acting.get(base + path)).status_code == status
    path = {tenant: f"{base}audit-log/", theirs: f"/api/tenants/organizations/{theirs}/audit-log/"}
    me = tenancy.client(user_id=owner.id, tenant_id=tenant)
    entries = (await me.get(path[tenant], params={"action": "impersonation.used"})).json()["results"]
    asked = [f"GET {base}{what}" for what in ("audit-log/", "members/", "usage/")]
    assert [entry["target"] for entry in entries] == asked
    for entry in entries:
        assert entry["details"] == {"impersonation": made, "impersonator": str(desk.person.id)}
    as_stranger = tenancy.client(user_id=stranger.id, tenant_id=theirs)
    seen = (await as_stranger.get(path[theirs])).json()["results"]
    assert not [entry for entry in seen if entry["action"].startswith("impersonation.")]


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


async def sign_out(tenancy: Tenancy, desk: Desk, how: str) -> None:
    """The session ends: by the person, by another session of his, by the platform's operator, or by a thief's mistake."""
    if how == "elsewhere":
        assert (await desk.client().delete(f"/api/auth/sessions/{desk.session_id}/")).status_code == 204
    elif how.startswith("logout"):
        assert (await desk.client().post(f"/api/auth/{how}/")).status_code == 204
    elif how == "dismissed":
        async with tenancy.store.for_system("auth") as uow:
            await dismiss_staff(uow, desk.person.email.upper())
    elif how == "renewed":
        async with tenancy.store.for_system("auth") as uow:
            await create_staff(
                uow, tenancy.tools.sealer, email=desk.person.email, roles=[StaffRole.FINANCE],
                password_hash=await tenancy.tools.passwords.hash("Une autre phrase"), totp_secret=new_secret(),
            )  # fmt: skip


@pytest.mark.invariant("S85")
@pytest.mark.parametrize("how", ["logout", "logout-everywhere", "elsewhere", "dismissed", "renewed"])
async def test_whoever_signs_out_or_is_of_the_staff_no_more_acts_for_no_customer(
    tenancy: Tenancy, desk: Desk, how: str
) -> None:
    tenants = [(await tenancy.owned())[1] for _ in range(2)]
    colleague = await desk_of(tenancy)
    made = [(await desk.start(tenant)).json()["id"] for tenant in tenants]
    theirs = (await colleague.start(tenants[0])).json()["id"]
    for _ in range(2 if how.startswith("logout") else 1):
        await sign_out(tenancy, desk, how)
    for tenant, mine in zip(tenants, made, strict=True):
        ended = [fact for fact in await tenancy.facts(tenant) if fact["type"] == "session.revoked.v1"]
        assert [(fact["data"]["session_id"], fact["tenantid"]) for fact in ended] == [(mine, str(tenant))]
        (row,) = await log_of(tenancy, tenant, "impersonation.ended")
        assert (row["target"], row["actor"]) == (mine, "tenancy")
        assert row["reason"] == "the session in which it began has ended"
        refused = await desk.client().post(admin_path(tenant, f"{mine}/token/"))
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_unproved")
    assert (await colleague.client().post(admin_path(tenants[0], f"{theirs}/token/"))).status_code == 200
    assert (await desk.start(tenants[0])).json()["code"] == "second_factor_unproved"


@pytest.mark.invariant("S85")
async def test_another_session_of_ones_own_that_ends_leaves_what_began_in_this_one(
    tenancy: Tenancy, desk: Desk
) -> None:
    _, tenant = await tenancy.owned()
    made = (await desk.start(tenant)).json()["id"]
    # A code is good once, so the other session proves itself by the next one.
    tenancy.clock.advance(timedelta(minutes=1))
    other = await desk.sign_in_again()
    assert (await other.client().post("/api/auth/logout/")).status_code == 204
    assert (await desk.client().post(admin_path(tenant, f"{made}/token/"))).status_code == 200
    assert await log_of(tenancy, tenant, "impersonation.ended") == []


@pytest.mark.invariant("S85")
async def test_a_session_that_ends_while_somebody_begins_to_act_gives_no_token(
    tenancy: Tenancy, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's end saw no impersonation yet, and the impersonation no end of the session."""
    _, tenant = await tenancy.owned()
    ended, commit = asyncio.Event(), asyncio.Event()

    async def end() -> None:
        async with tenancy.store.for_system("auth") as uow:
            await end_sessions(uow, desk.person.id, "logout")
            ended.set()
            await commit.wait()

    ending: list[asyncio.Task[None]] = []

    async def begin(*everything: Any, **more: Any) -> Any:
        started = await start_impersonation(*everything, **more)
        ending.append(asyncio.create_task(end()))
        await ended.wait()
        return started

    monkeypatch.setattr(impersonating, "start_impersonation", begin)
    asking = asyncio.create_task(desk.start(tenant))

    async def waits_or_answers() -> bool:
        return asking.done() or await is_somebody_waiting(tenancy)

    await eventually(waits_or_answers)
    commit.set()
    answer = await asking
    await asyncio.gather(*ending)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_unproved")
    (row,) = await tenancy.rows(tenant, tables.impersonations)
    assert row["ended_at"] is not None


async def test_who_is_not_of_the_staff_is_not_dismissed(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one = await session(tenancy, person)
    for address in (person.email, "nobody@plateforme.cm", "no address"):
        async with tenancy.store.for_system("auth") as uow:
            with pytest.raises(StaffNotFound):
                await dismiss_staff(uow, address)
    assert await alive(tenancy, one)


async def test_an_audit_row_written_while_somebody_acts_names_both(tenancy: Tenancy, desk: Desk) -> None:
    from common.telemetry.context import impersonated_by

    owner, tenant = await tenancy.owned()
    with impersonated_by(str(desk.person.id)):
        async with tenancy.store.for_tenant(tenant) as uow:
            await uow.audit("something.read", "1", actor=owner.id)
    (row,) = await log_of(tenancy, tenant, "something.")
    assert (row["actor"], row["details"]) == (str(owner.id), {"impersonator": str(desk.person.id)})
