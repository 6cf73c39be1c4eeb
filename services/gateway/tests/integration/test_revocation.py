"""Access that has ended, while its token says otherwise for some minutes more."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from common.ids import uuid7
from gateway.proxy.access_tokens import Identity
from gateway.proxy.revocations import Revocations
from gateway.proxy.sessions import Sessions
from gateway.testing import told

from .test_api_keys import Program

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"
FRESH = f"/api/backup-configs/{uuid7()}/"


class Person:
    """Somebody with a session that tenancy knows."""

    def __init__(self, stack, tenant: UUID | None = None, *, in_token: bool = True, **known: Any) -> None:
        self.stack, self.user, self.session, self.tenant = stack, uuid7(), uuid7(), tenant
        self.known = {"user": str(self.user), "tenant": str(tenant) if tenant else None, "roles": ["owner"]}
        self.known |= {"revoked": False, "has_second_factor": False} | known
        stack.tenancy.sessions[str(self.session)] = self.known
        named = tenant if in_token else None
        self.headers = stack.tenancy.headers(tenant=named, sub=str(self.user), sid=str(self.session))

    async def asks(self, path: str = JOBS, method: str = "GET") -> tuple[int, str | None]:
        answer = await self.stack.client.request(method, path, headers=self.headers)
        return answer.status_code, answer.json().get("code")


@pytest.mark.invariant("S54")
async def test_a_session_that_was_revoked_ends_at_once_and_no_other_does(stack) -> None:
    tenant = uuid7()
    left, other = Person(stack, tenant), Person(stack, tenant)
    assert [await one.asks() for one in (left, other)] == [(200, None)] * 2
    await stack.broker.publish(told("session.revoked", session_id=left.session, user_id=left.user, reason="logout"))
    assert await left.asks() == (401, "session_ended")
    assert await other.asks() == (200, None)
    assert len(stack.engine.seen) == 3


@pytest.mark.invariant("S54")
@pytest.mark.parametrize("in_token", [True, False])
async def test_a_removed_member_is_out_at_once_and_others_of_his_and_of_theirs_are_not(stack, in_token: bool) -> None:
    tenant = uuid7()
    removed, colleague = Person(stack, tenant, in_token=in_token), Person(stack, tenant)
    elsewhere = stack.tenancy.headers(tenant=uuid7(), sub=str(removed.user))
    assert [await one.asks() for one in (removed, colleague)] == [(200, None)] * 2
    removed.known["tenant"] = None
    await stack.broker.publish(told("member.removed", tenant, user_id=removed.user))
    status, code = await removed.asks()
    assert (status, code) == ((401, "token_invalid") if in_token else (200, None))
    assert stack.engine.seen[-1].claims.tenant_id != tenant or in_token
    assert await colleague.asks() == (200, None)
    assert (await stack.client.get(JOBS, headers=elsewhere)).status_code == 200


@pytest.mark.invariant("S97")
@pytest.mark.parametrize("how", ["session", "member", "key"])
async def test_a_stream_that_runs_is_cut_when_its_access_ends_and_its_neighbours_go_on(stack, how: str) -> None:
    tenant = uuid7()
    ending, colleague, stranger = Person(stack, tenant), Person(stack, tenant), Person(stack, uuid7())
    headers, ended = ending.headers, told("session.revoked", session_id=ending.session, user_id=ending.user, reason="x")
    if how == "member":
        ended = told("member.removed", tenant, user_id=ending.user)
    if how == "key":
        program = Program(stack, tenant_id=str(tenant))
        headers, ended = {"authorization": f"Bearer {program.key}"}, told("api_key.revoked", tenant, key_id=program.id)
    async with AsyncExitStack() as open_streams:
        streams = []
        for who in (headers, colleague.headers, stranger.headers):
            answer = await open_streams.enter_async_context(stack.client.stream("GET", JOBS + "stream/", headers=who))
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"first"
            streams.append(pieces)
        await stack.broker.publish(ended)
        with pytest.raises(httpx.RemoteProtocolError):
            async with asyncio.timeout(10):
                await anext(streams[0])
        async with asyncio.timeout(10):
            await stack.engine.cancelled.wait()
        stack.engine.release.set()
        for pieces in streams[1:]:
            assert b"".join([piece async for piece in pieces]) == b"second"


@pytest.mark.invariant("S97")
async def test_a_stream_is_cut_whose_access_ended_while_its_request_was_still_taken_in(stack) -> None:
    person, sent, ended = Person(stack, uuid7()), asyncio.Event(), asyncio.Event()

    async def body():
        yield b"a"
        sent.set()
        await ended.wait()
        yield b"b"

    headers = person.headers | {"content-length": "2"}
    asking = asyncio.create_task(stack.client.request("GET", JOBS + "stream/", content=body(), headers=headers))
    await sent.wait()
    await asyncio.sleep(0.1)
    assert stack.engine.seen == [], "a small body is read whole before the service is called"
    await stack.broker.publish(told("session.revoked", session_id=person.session, user_id=person.user, reason="x"))
    ended.set()
    with pytest.raises(httpx.RemoteProtocolError):
        async with asyncio.timeout(10):
            await asking
    async with asyncio.timeout(10):
        await stack.engine.cancelled.wait()


@pytest.mark.invariant("S97")
async def test_what_ends_its_own_access_is_answered(stack) -> None:
    """Signing out tells the gateway before its own answer is through."""
    person = Person(stack, uuid7())
    hanging = asyncio.create_task(stack.client.get(JOBS + "hang/", headers=person.headers))
    async with asyncio.timeout(10):
        await stack.engine.entered.wait()
    await stack.broker.publish(told("session.revoked", session_id=person.session, user_id=person.user, reason="logout"))
    await asyncio.sleep(0)
    stack.engine.release.set()
    assert (await hanging).status_code == 200


@pytest.mark.invariant("S97")
async def test_an_upload_that_runs_is_cut_when_its_access_ends(stack) -> None:
    person = Person(stack, uuid7())

    async def pieces():
        while True:
            yield b"a"
            await asyncio.sleep(0.02)

    uploading = asyncio.create_task(stack.client.post(JOBS, content=pieces(), headers=person.headers))
    async with asyncio.timeout(10):
        await stack.engine.entered.wait()
    await stack.broker.publish(told("session.revoked", session_id=person.session, user_id=person.user, reason="x"))
    # It never stops sending, so the close may reset the connection before it reads why.
    with suppress(httpx.TransportError):
        async with asyncio.timeout(10):
            assert (await uploading).status_code == 401
    assert (stack.engine.seen[-1].body, await person.asks()) == (b"", (401, "session_ended"))


async def test_a_member_who_was_removed_and_came_back_works_with_his_new_token(stack) -> None:
    tenant = uuid7()
    person = Person(stack, tenant)
    await stack.broker.publish(told("member.removed", tenant, user_id=person.user))
    assert await person.asks() == (401, "token_invalid")
    later = int(datetime.now(UTC).timestamp()) + 2
    named = {"tenant": str(tenant), "roles": ["member"], "sub": str(person.user), "iat": later}
    headers = {"authorization": f"Bearer {stack.tenancy.token(**named)}"}
    assert (await stack.client.get(JOBS, headers=headers)).status_code == 200


@pytest.mark.invariant("S54")
@pytest.mark.parametrize("in_token", [True, False])
async def test_a_new_role_counts_at_once_for_that_person_in_that_organization(stack, in_token: bool) -> None:
    tenant, elsewhere = uuid7(), uuid7()
    demoted, colleague = Person(stack, tenant, in_token=in_token), Person(stack, tenant)
    there = stack.tenancy.headers(tenant=elsewhere, sub=str(demoted.user))
    assert await demoted.asks() == (200, None)
    demoted.known["roles"] = ["viewer"]
    await stack.broker.publish(told("member.role_changed", tenant, user_id=demoted.user, role="viewer"))
    assert await demoted.asks() == (200, None)
    assert stack.engine.seen[-1].claims.roles == {"viewer"}
    assert stack.engine.seen[-1].claims.tenant_id == tenant
    assert await colleague.asks() == (200, None)
    assert stack.engine.seen[-1].claims.roles == {"owner"}
    await stack.client.get(JOBS, headers=there)
    assert (stack.engine.seen[-1].claims.tenant_id, stack.engine.seen[-1].claims.roles) == (elsewhere, {"owner"})


async def test_of_two_new_roles_the_later_counts_in_whatever_order_they_are_heard(stack) -> None:
    tenant = uuid7()
    person = Person(stack, tenant)
    first = told("member.role_changed", tenant, user_id=person.user, role="admin")
    second = told("member.role_changed", tenant, user_id=person.user, role="viewer")
    for fact in (second, first, second):
        await stack.broker.publish(fact)
        await person.asks()
        assert stack.engine.seen[-1].claims.roles == {"viewer"}


async def test_a_new_role_that_is_heard_again_leaves_tokens_alone_that_were_issued_since() -> None:
    """Promoted, removed, and back as a viewer: a replay of the first does not make an admin of him."""
    tenant, user, clock = uuid7(), uuid7(), [1000.0]
    revocations = Revocations(lambda: clock[0])
    promoted = told("member.role_changed", tenant, user_id=user, role="admin")
    revocations.hear(promoted)
    back = Identity(user, uuid7(), tenant, frozenset({"viewer"}), frozenset(), expires_at=1 << 40, issued_at=1100)
    clock[0] = 1200.0
    revocations.hear(promoted)
    assert revocations.amend(back).roles == {"viewer"}
    assert revocations.amend(replace(back, issued_at=900)).roles == {"admin"}


async def test_a_token_issued_after_a_new_role_says_it_itself(stack) -> None:
    tenant = uuid7()
    person = Person(stack, tenant)
    await stack.broker.publish(told("member.role_changed", tenant, user_id=person.user, role="viewer"))
    later = int(datetime.now(UTC).timestamp()) + 2
    named = {"tenant": str(tenant), "roles": ["admin"], "sub": str(person.user), "iat": later}
    headers = {"authorization": f"Bearer {stack.tenancy.token(**named)}"}
    await stack.client.get(JOBS, headers=headers)
    assert stack.engine.seen[-1].claims.roles == {"admin"}


@pytest.mark.invariant("S54")
async def test_what_was_asked_before_a_fact_was_heard_is_not_remembered_after_it() -> None:
    tenant, roles = str(uuid7()), ["owner"]

    async def ask(_identity: Identity) -> dict[str, Any]:
        answer = {"tenant_id": tenant, "roles": list(roles), "revoked": False}
        if roles == ["owner"]:
            roles[:] = ["viewer"]
            sessions.forget()
        return answer

    sessions = Sessions(ask, lifetime_seconds=10)
    who = Identity(uuid7(), uuid7(), None, frozenset(), frozenset(), expires_at=1 << 40)
    assert (await sessions.resolve(who)).roles == {"owner"}
    assert (await sessions.resolve(who)).roles == {"viewer"}


@pytest.mark.invariant("S54")
async def test_a_fresh_route_asks_tenancy_each_time_and_believes_it_more_than_the_token(stack) -> None:
    tenant = uuid7()
    person = Person(stack, tenant, roles=["viewer"])
    for _ in range(2):
        assert await person.asks(FRESH, "DELETE") == (200, None)
    assert stack.tenancy.session_questions == 2
    assert stack.engine.seen[-1].claims.roles == {"viewer"}
    person.known["revoked"] = True
    assert await person.asks(FRESH, "DELETE") == (401, "session_ended")
    assert await person.asks() == (200, None)
    assert len(stack.engine.seen) == 3


@pytest.mark.invariant("S54")
async def test_a_fresh_route_is_closed_while_tenancy_does_not_answer(stack) -> None:
    person = Person(stack, uuid7())
    assert await person.asks(FRESH, "DELETE") == (200, None)
    stack.tenancy.failing = True
    assert await person.asks(FRESH, "DELETE") == (503, "service_unavailable")
    assert await person.asks() == (200, None)
    assert len(stack.engine.seen) == 2


async def test_a_fresh_route_refuses_a_token_of_another_organization_than_the_sessions(stack) -> None:
    person = Person(stack, uuid7())
    person.known["tenant"] = str(uuid7())
    assert await person.asks(FRESH, "DELETE") == (401, "token_invalid")
    assert not stack.engine.seen


@pytest.mark.parametrize(("minutes", "allowed"), [(None, False), (16, False), (14, True)])
async def test_who_has_a_second_factor_confirms_it_lately_for_what_is_fresh(stack, minutes, allowed: bool) -> None:
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat() if minutes else None
    person = Person(stack, uuid7(), has_second_factor=True, second_factor_at=at)
    assert await person.asks(FRESH, "DELETE") == ((200, None) if allowed else (403, "second_factor_required"))
    assert await person.asks() == (200, None)
