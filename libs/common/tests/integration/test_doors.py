"""Row-level security as a service meets it: through the three doors."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest
from common.ids import uuid7
from common.persistence import Database, Scope, Store
from common.persistence.startup import UnsafeDatabase, check_database
from common.settings import DatabaseSettings
from common.testing import ServiceDatabase
from hotel.persistence.tables import bookings, guests, rooms
from hotel.service import UnitOfWork
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

HOTEL = Path(__file__).parents[1] / "hotel"
Doors = Store[UnitOfWork]


async def add_room(store: Doors, tenant: UUID, *, user: UUID | None = None) -> UUID:
    room = uuid7()
    async with store.for_tenant(tenant) as uow:
        await uow.session.execute(insert(rooms).values(tenant_id=tenant, id=room, user_id=user, name="a"))
    return room


async def rooms_seen(store: Doors, tenant: UUID) -> set[UUID]:
    async with store.for_tenant(tenant) as uow:
        return set((await uow.session.scalars(select(rooms.c.id))).all())


@pytest.mark.invariant("S1")
async def test_without_a_tenant_every_tenant_table_is_empty_and_refuses_inserts(store: Doors) -> None:
    await add_room(store, uuid7())
    for table in (rooms, bookings):
        async with store.database.session("app", Scope()) as session:
            assert await session.scalar(select(func.count()).select_from(table)) == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        async with store.database.session("app", Scope()) as session:
            await session.execute(insert(rooms).values(tenant_id=uuid7(), id=uuid7(), name="x"))


@pytest.mark.invariant("S1")
async def test_without_a_tenant_not_even_the_owner_of_the_tables_sees_or_inserts_a_row(store: Doors) -> None:
    await add_room(store, uuid7())
    async with store.database.session("owner", Scope()) as session:
        assert await session.scalar(select(func.count()).select_from(rooms)) == 0
    with pytest.raises(DBAPIError, match="row-level security"):
        async with store.database.session("owner", Scope()) as session:
            await session.execute(insert(rooms).values(tenant_id=uuid7(), id=uuid7(), name="x"))


@pytest.mark.invariant("S5")
async def test_one_connection_used_for_a_then_b_then_nobody_shows_each_only_its_own(hotel_database) -> None:
    settings = hotel_database.settings.model_copy(update={"database_pool_size": 1})
    database = Database(settings, "hotel")
    store = Store(database, UnitOfWork, None)
    a, b = uuid7(), uuid7()
    room_a, room_b = await add_room(store, a), await add_room(store, b)
    backends = set()
    seen = []
    for scope in (Scope(tenant_id=a), Scope(tenant_id=b), Scope(), Scope(tenant_id=a)):
        async with database.session("app", scope) as session:
            backends.add(await session.scalar(text("select pg_backend_pid()")))
            seen.append(set((await session.scalars(select(rooms.c.id))).all()))
    await database.close()
    assert len(backends) == 1
    assert seen == [{room_a}, {room_b}, set(), {room_a}]


@pytest.mark.invariant("S6")
async def test_the_tenant_outlives_a_commit_and_a_savepoint_rollback(store: Doors) -> None:
    a = uuid7()
    room = await add_room(store, a)
    await add_room(store, uuid7())
    async with store.database.engine("app").connect() as _:
        pass
    from common.persistence.database import DoorSession
    from sqlalchemy.ext.asyncio import AsyncSession

    async with AsyncSession(
        store.database.engine("app"),
        sync_session_class=DoorSession,
        info={"scope": Scope(tenant_id=a), "read_only": False, "snapshot": False},
    ) as session:
        assert set((await session.scalars(select(rooms.c.id))).all()) == {room}
        await session.commit()
        assert set((await session.scalars(select(rooms.c.id))).all()) == {room}
        with pytest.raises(ZeroDivisionError):
            async with session.begin_nested():
                raise ZeroDivisionError
        assert set((await session.scalars(select(rooms.c.id))).all()) == {room}


@pytest.mark.invariant("S7")
async def test_a_row_never_changes_its_tenant_and_is_never_made_for_another(store: Doors) -> None:
    a, b = uuid7(), uuid7()
    room = await add_room(store, a)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with store.for_tenant(a) as uow:
            await uow.session.execute(update(rooms).where(rooms.c.id == room).values(tenant_id=b))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with store.for_tenant(a) as uow:
            await uow.session.execute(insert(rooms).values(tenant_id=b, id=uuid7(), name="x"))
    assert await rooms_seen(store, b) == set()


@pytest.mark.invariant("S8")
async def test_a_foreign_key_never_joins_rows_of_two_tenants(store: Doors) -> None:
    a, b = uuid7(), uuid7()
    room = await add_room(store, a)
    with pytest.raises(DBAPIError, match="foreign key"):
        async with store.for_tenant(b) as uow:
            await uow.session.execute(insert(bookings).values(tenant_id=b, id=uuid7(), room_id=room))


@pytest.mark.invariant("S69")
async def test_a_person_reads_his_rows_and_writes_none_that_carries_a_tenant(store: Doors) -> None:
    me, a = uuid7(), uuid7()
    mine = await add_room(store, a, user=me)
    await add_room(store, a, user=uuid7())
    async with store.for_user(me) as uow:
        assert set((await uow.session.scalars(select(rooms.c.id))).all()) == {mine}
    for writes in (False, True):
        with pytest.raises(DBAPIError, match="permission denied|read-only"):
            async with store.for_user(me, writes=writes) as uow:
                await uow.session.execute(insert(rooms).values(tenant_id=a, id=uuid7(), user_id=me, name="x"))
        with pytest.raises(DBAPIError, match="permission denied|read-only"):
            async with store.for_user(me, writes=writes) as uow:
                await uow.session.execute(update(rooms).values(name="x"))


async def test_a_person_writes_his_own_tables_only_for_himself(store: Doors) -> None:
    me, other = uuid7(), uuid7()
    async with store.for_user(me, writes=True) as uow:
        await uow.session.execute(insert(guests).values(id=me, name="me"))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with store.for_user(me, writes=True) as uow:
            await uow.session.execute(insert(guests).values(id=other, name="other"))
    async with store.for_user(other) as uow:
        assert (await uow.session.scalars(select(guests.c.id))).all() == []


async def test_a_system_role_sees_only_the_tables_its_policies_name(store: Doors) -> None:
    room = await add_room(store, uuid7())
    async with store.for_system("porter") as uow:
        assert room in set((await uow.session.scalars(select(rooms.c.id))).all())
    with pytest.raises(DBAPIError, match="permission denied"):
        async with store.for_system("porter") as uow:
            await uow.session.execute(select(bookings))


@pytest.mark.invariant("S10")
async def test_the_setting_is_read_once_per_query_and_not_per_row(store: Doors) -> None:
    async with store.for_tenant(uuid7()) as uow:
        for door_query in (
            "select * from rooms",
            "select * from bookings",
            "select * from inbox",
            "select * from mails",
        ):
            plan = "\n".join((await uow.session.scalars(text(f"explain (costs off) {door_query}"))).all())
            assert "InitPlan" in plan, plan
            assert "current_setting" not in plan.split("InitPlan")[0], plan


@pytest.mark.invariant("S3")
@pytest.mark.parametrize("harm", ["superuser", "bypassrls", "owner", "member of the owner", "member of a system role"])
async def test_a_privileged_role_stops_the_start(hotel_database: ServiceDatabase, harm: str) -> None:
    import asyncpg

    admin = await asyncpg.connect(hotel_database.admin_url)
    try:
        for statement, undo in {
            "superuser": [("alter role hotel_user superuser", "alter role hotel_user nosuperuser")],
            "bypassrls": [("alter role hotel_user bypassrls", "alter role hotel_user nobypassrls")],
            "owner": [("alter table guests owner to hotel_user", "alter table guests owner to hotel_owner")],
            "member of the owner": [("grant hotel_owner to hotel_user", "revoke hotel_owner from hotel_user")],
            "member of a system role": [("grant hotel_porter to hotel_app", "revoke hotel_porter from hotel_app")],
        }[harm]:
            await admin.execute(statement)
            database = hotel_database.open()
            try:
                with pytest.raises(UnsafeDatabase, match="row-level security would not bind it"):
                    await check_database(database, ("app", "user"), HOTEL, production=False)
            finally:
                await database.close()
                await admin.execute(undo)
    finally:
        await admin.close()


async def test_a_sound_database_starts(store: Doors) -> None:
    doors = ("app", "user", "relay", "inbox", "mailer", "porter")
    await check_database(store.database, doors, HOTEL, production=True)


@pytest.mark.invariant("S4")
@pytest.mark.invariant("S2")
async def test_a_table_without_its_policy_stops_the_start(hotel_database: ServiceDatabase) -> None:
    import asyncpg

    admin = await asyncpg.connect(hotel_database.admin_url)
    database = hotel_database.open()
    try:
        for harm, undo in (
            ("alter table rooms no force row level security", "alter table rooms force row level security"),
            ("alter table rooms disable row level security", "alter table rooms enable row level security"),
        ):
            await admin.execute(harm)
            with pytest.raises(UnsafeDatabase, match="rooms"):
                await check_database(database, ("app",), HOTEL, production=False)
            await admin.execute(undo)
    finally:
        await database.close()
        await admin.close()


async def test_an_old_schema_stops_the_start(hotel_database: ServiceDatabase, tmp_path: Path) -> None:
    import shutil

    newer = tmp_path / "hotel"
    shutil.copytree(HOTEL, newer)
    (newer / "migrations/versions/2026_12_01_later.py").write_text(
        'revision = "2026_12_01_later"\ndown_revision = "2026_11_22_first"\ndef upgrade() -> None: ...\n'
    )
    database = hotel_database.open()
    with pytest.raises(UnsafeDatabase, match="run `migrate` first"):
        await check_database(database, ("app",), newer, production=False)
    await database.close()


async def test_many_tenants_at_once_each_see_their_own(store: Doors) -> None:
    tenants = [uuid7() for _ in range(20)]
    made = dict(zip(tenants, await asyncio.gather(*(add_room(store, t) for t in tenants)), strict=True))
    seen = await asyncio.gather(*(rooms_seen(store, t) for t in tenants * 5))
    assert seen == [{made[t]} for t in tenants * 5]


async def test_settings_refuse_credentials_in_the_url() -> None:
    with pytest.raises(ValueError, match="without user or password"):
        DatabaseSettings(database_url="postgresql://a:b@h/x", database_password="x" * 12)
