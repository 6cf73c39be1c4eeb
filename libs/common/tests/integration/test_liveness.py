"""Connections of a pool that the server has closed: whoever comes next gets another one, and is not told."""

import asyncio

import asyncpg
import pytest
from common.persistence import Database, Scope, liveness
from sqlalchemy import text

pytestmark = pytest.mark.integration

PID = text("select pg_backend_pid()")


@pytest.fixture
async def database(hotel_database):
    opened = hotel_database.open()
    yield opened
    await opened.close()


async def pid_of(database: Database) -> int:
    async with database.session("app", Scope()) as session:
        return int(await session.scalar(PID))


async def close_from_outside(hotel_database, *pids: int) -> None:
    superuser = await asyncpg.connect(hotel_database.admin_url)
    try:
        for pid in pids:
            await superuser.execute("select pg_terminate_backend($1, 5000)", pid)
    finally:
        await superuser.close()


def told_to(database: Database) -> list[str]:
    """What the door's connections say to the server beyond SQLAlchemy's statements: their pings."""
    said: list[str] = []
    dialect = database.engine("app").dialect
    ping = dialect.do_ping

    def noted(connection) -> bool:
        said.append("ping")
        return ping(connection)

    dialect.do_ping = noted
    return said


async def test_a_connection_that_was_just_used_is_not_asked_and_serves_the_next(database):
    said = told_to(database)
    assert len({await pid_of(database) for _ in range(5)}) == 1
    assert said == []


async def test_a_connection_that_rested_is_asked_and_serves_on(database, monkeypatch):
    said = told_to(database)
    first = await pid_of(database)
    monkeypatch.setattr(liveness, "MOMENT_SECONDS", 0.0)
    assert await pid_of(database) == first
    assert said == ["ping"]


@pytest.mark.parametrize("moment", [0.0, 60.0], ids=["after a pause", "just used"])
async def test_a_connection_that_the_server_closed_is_replaced_unnoticed(database, hotel_database, monkeypatch, moment):
    monkeypatch.setattr(liveness, "MOMENT_SECONDS", moment)
    first = await pid_of(database)
    await close_from_outside(hotel_database, first)
    assert await pid_of(database) != first


async def test_all_connections_of_a_server_that_restarted_are_replaced(database, hotel_database):
    async def hold(entered: asyncio.Barrier) -> int:
        async with database.session("app", Scope()) as session:
            pid = int(await session.scalar(PID))
            await entered.wait()
            return pid

    async def three() -> set[int]:
        entered = asyncio.Barrier(3)
        return set(await asyncio.gather(*(hold(entered) for _ in range(3))))

    before = await three()
    await close_from_outside(hotel_database, *before)
    after = await three()
    assert len(after) == 3
    assert not before & after


async def test_a_connection_that_died_without_a_word_is_found_by_its_ping(database, monkeypatch):
    """The ping's error replaces the connection, whatever it says: nobody is served by one that cannot answer."""
    first = await pid_of(database)
    monkeypatch.setattr(liveness, "MOMENT_SECONDS", 0.0)
    dialect = database.engine("app").dialect

    def fails(_connection) -> bool:
        dialect.do_ping = type(dialect).do_ping.__get__(dialect)
        raise dialect.loaded_dbapi.InterfaceError("no answer")

    dialect.do_ping = fails
    assert await pid_of(database) != first
