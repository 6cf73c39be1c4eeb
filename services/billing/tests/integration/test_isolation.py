"""Row-level security of billing's own tables, from PostgreSQL's side: what each door sees and may write."""

from typing import Any
from uuid import UUID

import pytest
from billing.persistence.tables import metadata, orders, organizations, payments
from billing.testing import Billing, by_momo, place
from common.ids import uuid7
from common.persistence.mechanisms import MECHANISMS
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

pytestmark = pytest.mark.integration

TENANT_TABLES = sorted(
    name for name, table in metadata.tables.items() if "tenant_id" in table.c and name not in MECHANISMS
)
SHARED = {
    "plans", "plan_prices", "payment_methods", "coupons", "coupon_uses", "coupon_tries", "invoice_counters", "webhook_events",
    "provider_budgets", "reconciliations", "unmatched_movements", "plan_versions", "bank_statements",
    "bank_statement_lines", "payment_prompts",
}  # fmt: skip
"""Tables of nobody: the catalogue, counters, and what comes from outside before anybody knows whose it is."""


async def tenant(billing: Billing, *, user_id: UUID | None = None) -> tuple[UUID, UUID, dict[str, Any]]:
    me = user_id or uuid7()
    order = await place(billing.client(user_id=me))
    await by_momo(billing.client(user_id=me), order, "46733123454")
    rows = await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"]))
    return UUID(str(rows[0]["tenant_id"])), me, order


def test_every_table_carries_a_tenant_or_is_listed_as_nobodys() -> None:
    assert set(metadata.tables) - set(MECHANISMS) - set(TENANT_TABLES) == SHARED


@pytest.mark.invariant("S2")
@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_tenant_tables_have_forced_row_security_that_names_the_setting(billing: Billing, table: str) -> None:
    rows = await billing.rows(
        "select relrowsecurity, relforcerowsecurity from pg_class where oid = $1::text::regclass", t=table
    )
    assert rows == [{"relrowsecurity": True, "relforcerowsecurity": True}]
    policies = await billing.rows(
        "select pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as checks"
        " from pg_policy where polrelid = $1::text::regclass and polname = 'tenant'",
        t=table,
    )
    assert "app.tenant_id" in policies[0]["using"]
    assert policies[0]["using"] == policies[0]["checks"]


@pytest.mark.invariant("S1")
@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_without_a_tenant_no_row_is_seen(billing: Billing, table: str) -> None:
    await tenant(billing)
    async with billing.doors.engine("app").connect() as connection:
        assert (await connection.execute(text(f"select count(*) from {table}"))).scalar_one() == 0


@pytest.mark.invariant("S1")
@pytest.mark.parametrize("table", ["orders", "payments", "invoices", "subscriptions"])
async def test_without_a_tenant_every_insert_raises(billing: Billing, table: str) -> None:
    mine, _me, _order = await tenant(billing)
    source = {"orders": "orders", "payments": "payments"}.get(table)
    async with billing.doors.engine("app").connect() as connection:
        with pytest.raises(DBAPIError, match="row-level security|null value"):
            columns = "(tenant_id)" if source is None else "(tenant_id, id)"
            values = ":t" if source is None else ":t, :t"
            await connection.execute(text(f"insert into {table} {columns} values ({values})"), {"t": mine})


@pytest.mark.invariant("S7")
async def test_a_row_never_changes_its_tenant_and_is_never_written_for_another(billing: Billing) -> None:
    mine, _me, order = await tenant(billing)
    theirs = uuid7()
    with pytest.raises(DBAPIError, match="permission denied"):
        async with billing.store.for_tenant(mine) as uow:
            await uow.session.execute(update(orders).values(tenant_id=theirs))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with billing.store.for_tenant(theirs) as uow:
            await uow.session.execute(
                text(
                    "insert into payment_allocations (tenant_id, payment_id, order_id, amount_minor, currency,"
                    " created_at) values (:t, :p, :o, 1, 'XAF', now())"
                ),
                {"t": mine, "p": uuid7(), "o": UUID(order["id"])},
            )


@pytest.mark.invariant("S8")
async def test_a_foreign_key_cannot_join_rows_of_two_tenants(billing: Billing) -> None:
    _mine, _me, order = await tenant(billing)
    theirs, _they, _order = await tenant(billing)
    with pytest.raises(DBAPIError, match="foreign key"):
        async with billing.store.for_tenant(theirs) as uow:
            await uow.session.execute(
                text(
                    "insert into coupon_redemptions (tenant_id, order_id, coupon_id, amount_minor, currency, released,"
                    " created_at) values (:t, :o, :c, 1, 'XAF', false, now())"
                ),
                {"t": theirs, "o": UUID(order["id"]), "c": uuid7()},
            )


@pytest.mark.invariant("S8")
def test_every_foreign_key_between_tenant_tables_carries_the_tenant() -> None:
    for name in TENANT_TABLES:
        for constraint in metadata.tables[name].foreign_key_constraints:
            assert "tenant_id" in constraint.column_keys, (name, constraint.column_keys)


@pytest.mark.invariant("S69")
async def test_a_person_reads_his_own_orders_and_writes_no_row_that_carries_a_tenant(billing: Billing) -> None:
    mine, me, order = await tenant(billing)
    await tenant(billing)
    async with billing.store.for_user(me) as uow:
        assert [str(found.id) for found in await uow.orders.page(None, 10)] == [order["id"]]
        assert [str(found.order_id) for found in await uow.payments.page(None, 10)] == [order["id"]]
    for table in ("orders", "payments", "organizations"):
        for statement in (
            f"insert into {table} (tenant_id) values ('{mine}')",
            f"update {table} set tenant_id = tenant_id",
            f"delete from {table}",
        ):
            with pytest.raises(DBAPIError, match="permission denied"):
                async with billing.doors.engine("user").begin() as connection:
                    await connection.execute(text("select set_config('app.user_id', :u, true)"), {"u": str(me)})
                    await connection.execute(text(statement))


@pytest.mark.invariant("S69")
@pytest.mark.parametrize("table", ["invoices", "subscriptions", "receipts", "ledger_entries", "coupon_redemptions"])
async def test_a_persons_door_does_not_open_on_other_tenant_tables(billing: Billing, table: str) -> None:
    _mine, me, _order = await tenant(billing)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with billing.store.for_user(me) as uow:
            await uow.session.execute(text(f"select * from {table}"))


@pytest.mark.invariant("S5")
async def test_a_pooled_connection_shows_each_tenant_its_own_and_nobody_nothing(billing: Billing) -> None:
    first, _a, first_order = await tenant(billing)
    second, _b, second_order = await tenant(billing)
    seen = []
    async with billing.doors.engine("app").connect() as connection:
        for wanted in (first, second, None):
            async with connection.begin():
                if wanted is not None:
                    await connection.execute(text("select set_config('app.tenant_id', :t, true)"), {"t": str(wanted)})
                pid = (await connection.execute(text("select pg_backend_pid()"))).scalar_one()
                found = (await connection.execute(select(orders.c.id))).scalars().all()
                seen.append((pid, [str(order_id) for order_id in found]))
    assert len({pid for pid, _found in seen}) == 1
    assert [found for _pid, found in seen] == [[first_order["id"]], [second_order["id"]], []]


@pytest.mark.invariant("S6")
async def test_after_a_rolled_back_savepoint_the_tenant_is_still_set(billing: Billing) -> None:
    mine, _me, order = await tenant(billing)
    async with billing.store.for_tenant(mine) as uow:
        savepoint = await uow.session.begin_nested()
        await uow.session.execute(update(orders).values(status="cancelled"))
        await savepoint.rollback()
        found = (await uow.session.execute(select(orders.c.id, orders.c.status))).all()
    assert [(str(row.id), row.status) for row in found] == [(order["id"], "payment_pending")]


@pytest.mark.invariant("S10")
@pytest.mark.parametrize("table", [orders, payments])
async def test_the_setting_is_read_once_per_query(billing: Billing, table: Any) -> None:
    mine, _me, _order = await tenant(billing)
    async with billing.store.for_tenant(mine) as uow:
        lines = (await uow.session.execute(text(f"explain select * from {table.name}"))).scalars().all()
    plan = "\n".join(lines)
    assert "InitPlan" in plan or "Index Cond" in plan, plan


@pytest.mark.invariant("S3")
@pytest.mark.parametrize(
    "door", ["app", "user", "relay", "inbox", "mailer", "janitor", "webhook", "staff", "catalogue", "seed"]
)
async def test_no_door_is_privileged_or_owns_a_table(billing: Billing, door: str) -> None:
    rows = await billing.rows(
        "select rolsuper, rolbypassrls, (select count(*) from pg_class where relowner = r.oid) as owned"
        " from pg_roles r where rolname = $1",
        role=f"billing_{door}",
    )
    assert rows == [{"rolsuper": False, "rolbypassrls": False, "owned": 0}]


async def test_the_webhook_door_sees_no_amount_no_number_and_no_person(billing: Billing) -> None:
    await tenant(billing)
    for column in ("charged_minor", "phone_number", "user_id", "order_id"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with billing.store.for_system("webhook") as uow:
                await uow.session.execute(text(f"select {column} from payments"))


async def test_inserting_into_another_tenants_order_book_is_refused(billing: Billing) -> None:
    mine, _me, _order = await tenant(billing)
    values = {"tenant_id": mine, "owner_id": None, "document": {}, "version": 1, "updated_at": billing.clock.now()}
    with pytest.raises(DBAPIError, match="row-level security"):
        async with billing.store.for_tenant(uuid7()) as uow:
            await uow.session.execute(insert(organizations).values(values))
