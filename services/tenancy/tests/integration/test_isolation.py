"""What the database itself guarantees about tenancy's tables, whatever the code does."""

import pytest
from common.ids import uuid7
from common.persistence import Database
from common.persistence.scope import Scope
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError
from tenancy.persistence import tables
from tenancy.testing import Tenancy

pytestmark = pytest.mark.integration
TENANT_TABLES = [t for t in tables.metadata.sorted_tables if "tenant_id" in t.c]
OWN_TENANT_TABLES = [t for t in TENANT_TABLES if t.name not in {"outbox", "inbox", "mails", "audit_log"}]
DENIED = "row-level security|permission denied|read-only transaction"


@pytest.fixture
def doors(tenancy: Tenancy) -> Database:
    return tenancy.store.database


@pytest.mark.invariant("S1")
@pytest.mark.parametrize("table", OWN_TENANT_TABLES, ids=lambda t: t.name)
async def test_without_a_tenant_nothing_is_seen_and_nothing_inserted(tenancy: Tenancy, doors: Database, table) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    async with doors.session("app", Scope()) as session:
        assert (await session.execute(select(table))).all() == []
    with pytest.raises(DBAPIError, match="row-level security"):
        async with doors.session("app", Scope()) as session:
            await session.execute(text(f"insert into {table.name} (tenant_id) values ('{tenant}')"))


@pytest.mark.invariant("S2")
async def test_every_table_with_a_tenant_has_forced_row_security_that_names_the_setting(tenancy: Tenancy) -> None:
    async with tenancy.store.for_tenant(uuid7()) as uow:
        rows = await uow.session.execute(
            text("""
            select c.relname, c.relrowsecurity and c.relforcerowsecurity as forced,
                   exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id') as tenant,
                   exists (select 1 from pg_policy p where p.polrelid = c.oid
                           and pg_get_expr(p.polqual, p.polrelid) like '%app.tenant_id%') as named
            from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r','p')""")
        )
        found = {row.relname: row for row in rows}
    assert all(row.forced and row.named for row in found.values() if row.tenant)
    persons = {
        "users", "credentials", "sessions", "refresh_tokens", "one_time_links", "idempotency_keys", "email_changes",
        "recovery_codes", "passkeys", "sso_identities",
    }  # fmt: skip
    nobodys = {
        "leader_leases", "alembic_version", "attempts", "passkey_challenges", "signing_keys", "platform_audit_entries",
    }  # fmt: skip
    assert {name for name, row in found.items() if not row.tenant} == persons | nobodys
    assert all(found[name].forced for name in persons)


@pytest.mark.invariant("S3")
async def test_no_login_role_is_privileged_or_owns_a_table(tenancy: Tenancy) -> None:
    async with tenancy.store.for_tenant(uuid7()) as uow:
        rows = (
            await uow.session.execute(
                text("""
                select r.rolname, r.rolsuper or r.rolbypassrls as privileged,
                       exists (select 1 from pg_class c where c.relowner = r.oid and c.relkind in ('r','p')) as owns
                from pg_roles r where r.rolname like 'tenancy\\_%'""")
            )
        ).all()
    assert not any(row.privileged for row in rows)
    assert {row.rolname for row in rows if row.owns} <= {"tenancy_owner"}


@pytest.mark.invariant("S5")
async def test_a_pooled_connection_forgets_its_tenant(tenancy: Tenancy) -> None:
    first, second = [await tenancy.organization(await tenancy.person()) for _ in range(2)]
    single = Database(tenancy.database.settings.model_copy(update={"database_pool_size": 1}), "tenancy")
    found, backends = [], set()
    for scope in (Scope(tenant_id=first), Scope(tenant_id=second), Scope()):
        async with single.session("app", scope) as session:
            backends.add(await session.scalar(text("select pg_backend_pid()")))
            found.append((await session.execute(select(tables.organizations.c.tenant_id))).scalars().all())
    await single.close()
    assert len(backends) == 1
    assert found == [[first], [second], []]


@pytest.mark.invariant("S6")
async def test_the_tenant_outlives_a_savepoint_that_is_rolled_back(tenancy: Tenancy) -> None:
    tenant = await tenancy.organization(await tenancy.person())
    async with tenancy.store.for_tenant(tenant) as uow:
        savepoint = await uow.session.begin_nested()
        await savepoint.rollback()
        assert (await uow.session.execute(select(tables.organizations.c.tenant_id))).scalars().all() == [tenant]


@pytest.mark.invariant("S7")
@pytest.mark.parametrize("table", OWN_TENANT_TABLES, ids=lambda t: t.name)
async def test_no_row_changes_its_tenant(tenancy: Tenancy, table) -> None:
    first, second = [await tenancy.organization(await tenancy.person()) for _ in range(2)]
    with pytest.raises(DBAPIError, match=DENIED):
        async with tenancy.store.for_tenant(first) as uow:
            await uow.session.execute(update(table).values(tenant_id=second))


@pytest.mark.invariant("S7")
async def test_a_row_for_another_tenant_is_not_inserted(tenancy: Tenancy) -> None:
    owner = await tenancy.person()
    first, second = await tenancy.organization(owner), await tenancy.organization(await tenancy.person())
    with pytest.raises(DBAPIError, match="row-level security"):
        async with tenancy.store.for_tenant(first) as uow:
            await uow.session.execute(
                insert(tables.memberships).values(
                    tenant_id=second, user_id=owner.id, role="owner", email="", full_name="", joined_at=uow.clock.now()
                )
            )


@pytest.mark.invariant("S8")
@pytest.mark.parametrize("table", OWN_TENANT_TABLES, ids=lambda t: t.name)
def test_keys_between_tenant_tables_are_led_by_the_tenant(table) -> None:
    assert next(c.name for c in table.primary_key) == "tenant_id"
    for key in table.foreign_key_constraints:
        if "tenant_id" in key.referred_table.c:
            assert next(iter(key.column_keys)) == "tenant_id"


@pytest.mark.invariant("S10")
async def test_the_setting_is_read_once_per_query(tenancy: Tenancy) -> None:
    async with tenancy.store.for_tenant(uuid7()) as uow:
        await uow.session.execute(text("set local enable_indexscan = off"))
        await uow.session.execute(text("set local enable_bitmapscan = off"))
        for table in OWN_TENANT_TABLES:
            plan = "\n".join((await uow.session.execute(text(f"explain select * from {table.name}"))).scalars())
            assert "InitPlan" in plan, plan
            assert "current_setting" not in plan.partition("InitPlan")[0], plan


@pytest.mark.invariant("S69")
@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("table", TENANT_TABLES, ids=lambda t: t.name)
async def test_a_persons_transaction_writes_no_row_that_carries_a_tenant(tenancy: Tenancy, table, writes: bool) -> None:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    for statement in (
        f"insert into {table.name} (tenant_id) values ('{tenant}')",
        f"update {table.name} set tenant_id = '{tenant}'",
        f"delete from {table.name}",
    ):
        with pytest.raises(DBAPIError, match=DENIED):
            async with tenancy.store.for_user(owner.id, writes=writes) as uow:
                await uow.session.execute(text(statement))


@pytest.mark.invariant("S69")
async def test_a_person_cannot_make_himself_owner_of_anothers_organization(tenancy: Tenancy) -> None:
    tenant, thief = await tenancy.organization(await tenancy.person()), await tenancy.person()
    with pytest.raises(DBAPIError, match=DENIED):
        async with tenancy.store.for_user(thief.id, writes=True) as uow:
            await uow.session.execute(
                insert(tables.memberships).values(
                    tenant_id=tenant, user_id=thief.id, role="owner", email="", full_name="", joined_at=uow.clock.now()
                )
            )


async def test_a_person_sees_his_own_account_and_memberships_only(tenancy: Tenancy) -> None:
    me, other = await tenancy.person(), await tenancy.person()
    mine = await tenancy.organization(me)
    await tenancy.organization(other)
    async with tenancy.store.for_user(me.id) as uow:
        assert (await uow.session.execute(select(tables.users.c.id))).scalars().all() == [me.id]
        assert (await uow.session.execute(select(tables.memberships.c.tenant_id))).scalars().all() == [mine]
        assert await uow.users.by_id(other.id) is None


async def test_a_person_cannot_read_credentials_nor_make_himself_staff(tenancy: Tenancy) -> None:
    me = await tenancy.person()
    for statement in (select(tables.credentials), update(tables.users).values(staff_roles=["admin"])):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with tenancy.store.for_user(me.id, writes=True) as uow:
                await uow.session.execute(statement)


async def test_a_tenants_transaction_sees_only_the_person_it_names(tenancy: Tenancy) -> None:
    owner, other = await tenancy.person(), await tenancy.person()
    tenant = await tenancy.organization(owner)
    async with tenancy.store.for_tenant(tenant) as uow:
        assert (await uow.session.execute(select(tables.users.c.id))).scalars().all() == []
        named = await uow.people.named(other.id)
        assert named is not None
        assert (await uow.session.execute(select(tables.users.c.id))).scalars().all() == [other.id]
