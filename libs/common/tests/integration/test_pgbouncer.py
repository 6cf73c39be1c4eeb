"""The same isolation behind PgBouncer in transaction mode, where transactions of all tenants share two backends."""

import asyncio
import importlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from common.clock import SystemClock
from common.ids import uuid7
from common.persistence import Scope, Store
from common.testing import ServiceDatabase
from hotel.persistence.tables import rooms
from hotel.service import SYSTEM_ROLES, UnitOfWork
from sqlalchemy import select, text

from .test_doors import (  # noqa: F401 - the very tests of the doors, on the fixtures of this module
    add_room,
    rooms_seen,
    test_a_foreign_key_never_joins_rows_of_two_tenants,
    test_a_person_reads_his_rows_and_writes_none_that_carries_a_tenant,
    test_a_row_never_changes_its_tenant_and_is_never_made_for_another,
    test_a_system_role_sees_only_the_tables_its_policies_name,
    test_many_tenants_at_once_each_see_their_own,
    test_one_connection_used_for_a_then_b_then_nobody_shows_each_only_its_own,
    test_the_tenant_outlives_a_commit_and_a_savepoint_rollback,
    test_without_a_tenant_every_tenant_table_is_empty_and_refuses_inserts,
)

DOORS = ("app", "user", "relay", "inbox", "owner", *SYSTEM_ROLES)


@pytest.fixture(scope="module")
def hotel_database(hotel_database: ServiceDatabase) -> Iterator[ServiceDatabase]:
    """The hotel's database, reached through PgBouncer."""
    debian, programs = (importlib.import_module(f"devstack.servers.{name}") for name in ("debian", "programs"))
    server, name = urlsplit(hotel_database.admin_url), hotel_database.settings.database_url.rpartition("/")[2]
    password = hotel_database.settings.database_password.get_secret_value()
    # Not below pytest's folder, which only root may enter: PgBouncer runs as somebody else.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        users = {f"hotel_{door}": password for door in DOORS}
        try:
            with programs.pgbouncer(Path(folder), server.hostname, server.port, users, 2) as port:
                changed = {"database_url": f"postgresql://127.0.0.1:{port}/{name}", "database_statement_cache_size": 0}
                changed["database_direct_url"] = hotel_database.settings.database_url
                yield replace(hotel_database, settings=hotel_database.settings.model_copy(update=changed))
        except debian.PackagesUnavailable as error:
            pytest.skip(f"no pgbouncer here: {error}")


@pytest.fixture
async def store(hotel_database: ServiceDatabase) -> AsyncIterator[Store[UnitOfWork]]:
    database = hotel_database.open()
    yield Store(database, UnitOfWork, SystemClock())
    await database.close()


@pytest.mark.invariant("S5")
async def test_transactions_of_fifty_tenants_on_two_backends_never_mix(store: Store[UnitOfWork]) -> None:
    tenants = [uuid7() for _ in range(50)]
    backends: set[int] = set()

    async def live(tenant) -> None:
        room = await add_room(store, tenant)
        for _ in range(3):
            async with store.database.session("app", Scope(tenant_id=tenant)) as session:
                backends.add(await session.scalar(text("select pg_backend_pid()")))
                assert set((await session.scalars(select(rooms.c.id))).all()) == {room}
            async with store.database.session("app", Scope()) as session:
                assert (await session.scalars(select(rooms.c.id))).all() == []

    await asyncio.gather(*map(live, tenants))
    assert len(backends) <= 2


async def test_what_listens_goes_past_it(store: Store[UnitOfWork]) -> None:
    heard = asyncio.Event()
    async with store.database.direct("app") as connection:
        await connection.add_listener("a_channel", lambda *_: heard.set())
        async with store.database.session("app", Scope()) as session:
            await session.execute(text("select pg_notify('a_channel', '')"))
        async with asyncio.timeout(10):
            await heard.wait()
