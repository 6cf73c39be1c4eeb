"""The database itself keeps the ledger at zero, whoever writes and however he goes about it."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import Billing
from common.ids import uuid7
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

pytestmark = pytest.mark.integration

ENTRY = "insert into ledger_entries (tenant_id, id, kind, source_id, booked_at) values (:t, :e, 'payment', :e, now())"
POSTING = (
    "insert into ledger_postings (tenant_id, entry_id, position, account, amount_minor, currency)"
    " values (:t, :e, :p, :a, :m, :c)"
)


async def _post(session: Any, tenant_id: UUID, *postings: tuple[str, int, str]) -> UUID:
    entry = uuid7()
    await session.execute(text(ENTRY), {"t": tenant_id, "e": entry})
    for position, (account, minor, currency) in enumerate(postings, start=1):
        values = {"t": tenant_id, "e": entry, "p": position, "a": account, "m": minor, "c": currency}
        await session.execute(text(POSTING), values)
    return entry


async def _become(session: Any, tenant_id: UUID | str) -> None:
    await session.execute(text("select set_config('app.tenant_id', :t, true)"), {"t": str(tenant_id)})


async def _entries(billing: Billing, tenant_id: UUID) -> int:
    return len(await billing.rows("select 1 from ledger_entries where tenant_id = $1", t=tenant_id))


@pytest.mark.parametrize(
    "postings",
    [
        [("revenue", 1, "XAF")],
        [("clearing:paypal", 100, "EUR"), ("unallocated", -100, "XAF")],
        [("clearing:paypal", 100, "EUR"), ("unallocated", -99, "EUR")],
    ],
    ids=["one side", "two currencies", "one cent"],
)
async def test_the_services_own_role_cannot_commit_an_entry_that_is_not_zero_in_each_currency(
    billing: Billing, postings: list[tuple[str, int, str]]
) -> None:
    tenant_id = uuid4()
    with pytest.raises(IntegrityError, match="does not balance"):
        async with billing.store.for_tenant(tenant_id) as uow:
            await _post(uow.session, tenant_id, *postings)
    assert await _entries(billing, tenant_id) == 0


@pytest.mark.parametrize("moved_on_to", [uuid4(), ""], ids=["another tenant", "none"])
async def test_a_transaction_that_moved_on_to_another_tenant_is_checked_all_the_same(
    billing: Billing, moved_on_to: UUID | str
) -> None:
    tenant_id = uuid4()
    with pytest.raises(IntegrityError, match="does not balance"):
        async with billing.store.for_tenant(tenant_id) as uow:
            await _post(uow.session, tenant_id, ("revenue", 1, "XAF"))
            await _become(uow.session, moved_on_to)
    assert await _entries(billing, tenant_id) == 0


async def test_a_balanced_entry_is_committed_and_leaves_the_transaction_where_it_was(billing: Billing) -> None:
    tenant_id, other = uuid4(), uuid4()
    async with billing.store.for_tenant(tenant_id) as uow:
        await _post(uow.session, tenant_id, ("clearing:paypal", 100, "EUR"), ("unallocated", -100, "EUR"))
        await _become(uow.session, other)
        await uow.session.execute(text("set constraints all immediate"))
        assert await uow.session.scalar(text("select current_setting('app.tenant_id')")) == str(other)
    assert await _entries(billing, tenant_id) == 1


async def test_a_posting_added_to_a_booked_entry_must_keep_it_at_zero(billing: Billing) -> None:
    tenant_id = uuid4()
    async with billing.store.for_tenant(tenant_id) as uow:
        entry = await _post(uow.session, tenant_id, ("clearing:paypal", 5, "EUR"), ("unallocated", -5, "EUR"))
    with pytest.raises(IntegrityError, match="does not balance"):
        async with billing.store.for_tenant(tenant_id) as uow:
            values = {"t": tenant_id, "e": entry, "p": 3, "a": "revenue", "m": -5, "c": "EUR"}
            await uow.session.execute(text(POSTING), values)


@pytest.mark.parametrize(
    "statement", ["update ledger_postings set amount_minor = 0", "delete from ledger_postings", "delete from invoices"]
)
async def test_booked_rows_are_neither_changed_nor_deleted_by_anybody(billing: Billing, statement: str) -> None:
    tenant_id = uuid4()
    async with billing.store.for_tenant(tenant_id) as uow:
        await _post(uow.session, tenant_id, ("clearing:paypal", 5, "EUR"), ("unallocated", -5, "EUR"))
    with pytest.raises(DBAPIError, match="permission denied"):
        async with billing.store.for_tenant(tenant_id) as uow:
            await uow.session.execute(text(statement))


async def test_even_the_owner_of_the_server_changes_no_booked_row(billing: Billing) -> None:
    tenant_id = uuid4()
    async with billing.store.for_tenant(tenant_id) as uow:
        await _post(uow.session, tenant_id, ("clearing:paypal", 5, "EUR"), ("unallocated", -5, "EUR"))
    async with billing.superuser() as connection:
        with pytest.raises(Exception, match="rows never change"):
            await connection.execute("update ledger_postings set amount_minor = 7 where tenant_id = $1", tenant_id)
