"""A person's sign-ins: listed, ended one by one or all at once, and told to the gateway."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.messaging import Envelope
from common.persistence.mechanisms import outbox
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select
from tenancy.domain.people import User
from tenancy.testing import PASSWORD, Tenancy

pytestmark = pytest.mark.integration


async def sign_in(
    tenancy: Tenancy, person: User, device: str = "Firefox", address: str = "192.0.2.1"
) -> dict[str, Any]:
    """Sign in; returns the pair and the session's id."""
    answer = await tenancy.client(anonymous=True).post(
        "/api/auth/login/",
        json={"email": person.email, "password": PASSWORD},
        headers={"user-agent": device.encode(), "x-forwarded-for": address.encode()},
    )
    told = jwt.decode(
        answer.json()["access_token"], KeySet.import_key_set(tenancy.tools.tokens.jwks()), algorithms=["EdDSA"]
    )
    return answer.json() | {"session": UUID(told.claims["sid"])}


async def refreshed(tenancy: Tenancy, pair: dict[str, Any], device: str = "Firefox") -> int:
    asking = tenancy.client(anonymous=True)
    body = {"refresh_token": pair["refresh_token"]}
    return (await asking.post("/api/auth/refresh/", json=body, headers={"user-agent": device})).status_code


async def revoked_facts(tenancy: Tenancy, person: User) -> list[dict[str, Any]]:
    """The payloads of `session.revoked` about one person."""
    async with tenancy.store.for_system("relay") as uow:
        rows = await uow.session.scalars(select(outbox.c.envelope).where(outbox.c.type == "session.revoked.v1"))
        return [row["data"] for row in rows if row["data"]["user_id"] == str(person.id)]


async def test_a_person_sees_their_own_sign_ins_with_device_and_address(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    here = await sign_in(tenancy, person)
    there = await sign_in(tenancy, person, "Téléphone", "2001:db8::1")
    await sign_in(tenancy, other)
    listed = (await tenancy.client(user_id=person.id, session_id=here["session"]).get("/api/auth/sessions/")).json()
    assert listed["next"] is None
    assert {UUID(one["id"]): (one["current"], one["address"]) for one in listed["results"]} == {
        here["session"]: (True, "192.0.2.1"),
        there["session"]: (False, "2001:db8::1"),
    }
    assert {one["device"] for one in listed["results"]} >= {"Firefox"}


async def test_however_often_somebody_signed_in_every_session_is_found_once(tenancy: Tenancy) -> None:
    """One that is not on the list cannot be ended: a thief's would hide behind many others."""
    person, other = await tenancy.person(), await tenancy.person()
    made = {(await sign_in(tenancy, person, f"device {number}"))["session"] for number in range(5)}
    await sign_in(tenancy, other)
    me, seen, cursor = tenancy.client(user_id=person.id), [], None
    while True:
        page = (
            await me.get("/api/auth/sessions/", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [UUID(one["id"]) for one in page["results"]]
        if (cursor := page["next"]) is None:
            break
    assert (len(seen), set(seen)) == (5, made)


async def test_a_refresh_notes_when_and_from_where_a_session_was_used(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    pair = await sign_in(tenancy, person)
    tenancy.clock.advance(timedelta(hours=1))
    asking = tenancy.client(anonymous=True)
    headers = {"user-agent": "Firefox 200", "x-forwarded-for": "198.51.100.7"}
    await asking.post("/api/auth/refresh/", json={"refresh_token": pair["refresh_token"]}, headers=headers)
    (one,) = (await tenancy.client(user_id=person.id).get("/api/auth/sessions/")).json()["results"]
    assert (one["device"], one["address"]) == ("Firefox 200", "198.51.100.7")
    assert one["last_used_at"] > one["created_at"]


async def test_ending_another_session_leaves_this_one_and_tells_the_gateway(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    here, there = await sign_in(tenancy, person), await sign_in(tenancy, person)
    me = tenancy.client(user_id=person.id, session_id=here["session"])
    assert (await me.delete(f"/api/auth/sessions/{there['session']}/")).status_code == 204
    assert (await refreshed(tenancy, there), await refreshed(tenancy, here)) == (401, 200)
    assert await revoked_facts(tenancy, person) == [
        {"session_id": str(there["session"]), "user_id": str(person.id), "reason": "revoked"}
    ]
    assert (await me.delete(f"/api/auth/sessions/{there['session']}/")).status_code == 404


@pytest.mark.invariant("S9")
async def test_ending_anothers_session_is_answered_as_ending_a_missing_one(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    theirs = await sign_in(tenancy, other)
    me = tenancy.client(user_id=person.id)
    answers = [await me.delete(f"/api/auth/sessions/{i}/") for i in (theirs["session"], uuid7())]
    unlike = {"request_id": "", "instance": ""}
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json() | unlike == answers[1].json() | unlike
    assert await refreshed(tenancy, theirs) == 200


@pytest.mark.invariant("S54")
async def test_logging_out_everywhere_ends_all_of_ones_sessions_and_nobody_elses(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    mine = [await sign_in(tenancy, person) for _ in range(3)]
    theirs = await sign_in(tenancy, other)
    me = tenancy.client(user_id=person.id, session_id=mine[0]["session"])
    assert (await me.post("/api/auth/logout-everywhere/")).status_code == 204
    assert [await refreshed(tenancy, pair) for pair in mine] == [401, 401, 401]
    assert await refreshed(tenancy, theirs) == 200
    assert {fact["session_id"] for fact in await revoked_facts(tenancy, person)} == {
        str(pair["session"]) for pair in mine
    }


async def test_a_fact_about_a_session_names_no_tenant_and_is_kept(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    pair = await sign_in(tenancy, person)
    await tenancy.client(user_id=person.id, session_id=pair["session"]).post("/api/auth/logout/")
    async with tenancy.store.for_system("relay") as uow:
        rows = await uow.session.scalars(select(outbox.c.envelope).where(outbox.c.type == "session.revoked.v1"))
        (sent,) = [row for row in rows if row["data"]["session_id"] == str(pair["session"])]
    envelope = Envelope.model_validate(sent)
    assert envelope.tenantid is None
    await tenancy.receive(envelope)
    assert (await tenancy.inbox_row(envelope.id)).status == "done"
