"""Proofs and counts that have had their time are deleted; those that somebody may still use stay."""

from datetime import UTC, datetime, timedelta

import pytest
from common.ids import uuid7
from common.messaging.in_process import InProcessBroker
from common.testing import eventually
from sqlalchemy import Table, select
from tenancy.bootstrap import build
from tenancy.domain.attempts import WINDOW, Limit
from tenancy.domain.invitations import Invitation
from tenancy.domain.links import Purpose
from tenancy.domain.people import User
from tenancy.domain.roles import Role
from tenancy.domain.sessions import Device, RefreshToken, Session
from tenancy.persistence import outlived
from tenancy.persistence.outlived import KEPT
from tenancy.persistence.tables import attempts, sso_states
from tenancy.testing import Tenancy
from tenancy.workflows import forgetting
from tenancy.workflows.forgetting import forget_outlived

from .identity import alive, login, session
from .test_service import running

pytestmark = pytest.mark.integration
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
NEVER = datetime(3001, 1, 1, tzinfo=UTC)
RETENTION = timedelta(days=90)


async def put(tenancy: Tenancy, person: User, moment: datetime) -> dict[Table, object]:
    """A row in every table of proofs and counts whose time is over then; returns what tells each from others."""
    mark = uuid7()
    device = Device("Firefox", "192.0.2.1")
    async with tenancy.store.for_system("auth") as uow:
        await uow.attempts.take(Limit("password_account", 10, WINDOW), mark.bytes, moment)
        await uow.passkeys.challenge(mark, mark.bytes, None, moment)
        await uow.sso_sign_ins.remember(mark, mark.bytes, mark.bytes, "nonce", "verifier", moment)
        await uow.links.add(
            link_id=mark, user_id=person.id, purpose=Purpose.RESET_PASSWORD, email=person.email,
            token_hash=mark.bytes, expires_at=moment,
        )  # fmt: skip
        await uow.sessions.add(Session(mark, person.id, None, moment, moment, device, moment))
        await uow.sessions.add_token(RefreshToken(mark, mark, person.id, moment), mark.bytes, moment)
    tenant = await tenancy.organization(person)
    async with tenancy.store.for_tenant(tenant) as uow:
        guest = Invitation(mark, tenant, "guest@exemple.cm", Role.VIEWER, person.id, moment, moment, moment)
        await uow.invitations.add(guest, mark.bytes)
    return {table: mark.bytes if table in (attempts, sso_states) else mark for table in KEPT}


async def left(tenancy: Tenancy, marks: dict[Table, object]) -> set[str]:
    """The tables in which the rows of `put` still are."""
    keys = {table: table.c.get("id") for table in KEPT}
    keys |= {attempts: attempts.c.subject, sso_states: sso_states.c.state_hash}
    async with tenancy.store.for_system("auth") as uow:
        return {
            table.name
            for table, mark in marks.items()
            if await uow.session.scalar(select(1).where(keys[table] == mark))
        }


@pytest.fixture
async def person(tenancy: Tenancy) -> User:
    return await tenancy.person()


async def test_the_worker_deletes_what_nobody_can_use_any_more(tenancy: Tenancy, person: User) -> None:
    old, young = await put(tenancy, person, LONG_AGO), await put(tenancy, person, NEVER)
    assert await left(tenancy, old) == {table.name for table in KEPT}

    async def gone() -> bool:
        return not await left(tenancy, old)

    async with running(await build(tenancy.tools.settings, InProcessBroker()), "worker"):
        await eventually(gone)
    assert await left(tenancy, young) == {table.name for table in KEPT}


async def test_a_link_is_said_to_be_too_old_for_a_month_and_a_count_outlasts_its_window(
    tenancy: Tenancy, person: User
) -> None:
    marks = await put(tenancy, person, tenancy.clock.now())
    tenancy.clock.advance(timedelta(hours=2))
    await forget_outlived(tenancy.store, RETENTION)
    assert await left(tenancy, marks) == {"attempts", "one_time_links", "sessions", "invitations"}
    tenancy.clock.advance(timedelta(days=29))
    await forget_outlived(tenancy.store, RETENTION)
    assert await left(tenancy, marks) == {"one_time_links", "sessions", "invitations"}
    tenancy.clock.advance(timedelta(days=1))
    await forget_outlived(tenancy.store, RETENTION)
    assert await left(tenancy, marks) == {"sessions", "invitations"}
    tenancy.clock.advance(RETENTION - timedelta(days=30, hours=2))
    await forget_outlived(tenancy.store, RETENTION)
    assert await left(tenancy, marks) == {"sessions", "invitations"}
    tenancy.clock.advance(timedelta(seconds=1))
    await forget_outlived(tenancy.store, RETENTION)
    assert await left(tenancy, marks) == set()


@pytest.mark.invariant("S88")
async def test_more_than_goes_at_once_goes_and_nothing_that_is_live(
    tenancy: Tenancy, person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (outlived, forgetting):
        monkeypatch.setattr(module, "AT_ONCE", 3)
    old = [await put(tenancy, person, LONG_AGO) for _ in range(7)]
    young = await put(tenancy, person, tenancy.clock.now() - RETENTION + timedelta(minutes=1))
    # A session whose time is over, and of which a refresh token still lives: it is not taken from under it.
    mark = uuid7()
    async with tenancy.store.for_system("auth") as uow:
        await uow.sessions.add(Session(mark, person.id, None, LONG_AGO, LONG_AGO, Device("Firefox", ""), LONG_AGO))
        await uow.sessions.add_token(RefreshToken(mark, mark, person.id, NEVER), mark.bytes, LONG_AGO)
    await forget_outlived(tenancy.store, RETENTION)
    assert [await left(tenancy, marks) for marks in old] == [set()] * 7
    assert {"sessions", "invitations"} <= await left(tenancy, young)
    async with tenancy.store.for_system("auth") as uow:
        assert await uow.sessions.get(mark) is not None


@pytest.mark.invariant("S88")
async def test_whoever_is_signed_in_or_counted_out_stays_so(tenancy: Tenancy, person: User) -> None:
    for _ in range(11):
        refused = await login(tenancy, person.email, "not the password", address="192.0.2.99")
    assert refused.status_code == 429
    await forget_outlived(tenancy.store, RETENTION)
    assert (await login(tenancy, person.email, address="192.0.2.99")).status_code == 429
    tenancy.clock.advance(WINDOW)
    one = await session(tenancy, person)
    tenancy.clock.advance(timedelta(days=29))
    await forget_outlived(tenancy.store, RETENTION)
    assert await alive(tenancy, one)
