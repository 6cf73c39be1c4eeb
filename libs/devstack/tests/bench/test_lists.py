"""That lists are read among many organizations, and that a list which feels them misses the bar."""

import asyncio
from contextlib import ExitStack, contextmanager

import asyncpg
import pytest
from common.ids import uuid7
from common.testing import service_database
from devstack.bench import crowds
from devstack.bench.crowds import EACH, PAGE, Crowd, customers, page_seconds
from devstack.bench.lists import lists_ratio
from devstack.bench.measuring import Sizes, median_ratio
from devstack.members import BACKUP_ENGINE, TENANCY

SIZES = Sizes(rows=10_000, pairs=1)


@pytest.fixture(autouse=True)
def few_pages(monkeypatch):
    monkeypatch.setattr(crowds, "PAGES", 20)
    monkeypatch.setattr(crowds, "WARM", 2)


@pytest.fixture
def databases(postgres_url):
    with ExitStack() as exits:

        def one(member):
            made = contextmanager(service_database)
            return exits.enter_context(made(postgres_url, member.prefix, member.package_folder, member.system_roles))

        yield (one(TENANCY), one(TENANCY)), (one(BACKUP_ENGINE), one(BACKUP_ENGINE))


async def asked(database, question):
    connection = await asyncpg.connect(database.admin_url)
    try:
        return await connection.fetch(question)
    finally:
        await connection.close()


def crowd(*, seconds, rows=PAGE):
    async def page(_tenant_id):
        await asyncio.sleep(seconds)
        return rows

    return Crowd([uuid7()], page)


@pytest.mark.unit
def test_there_are_a_hundred_times_fewer_customers_in_the_small_database():
    assert customers(1_000_000) == (100, 10_000)


@pytest.mark.unit
async def test_a_page_that_takes_longer_among_many_is_seen():
    assert median_ratio(await page_seconds(crowd(seconds=0.06), crowd(seconds=0.01), 1)) > 1.2


@pytest.mark.unit
async def test_a_page_that_is_not_full_is_not_measured():
    with pytest.raises(AssertionError, match="a page of 49 rows"):
        await page_seconds(crowd(seconds=0, rows=PAGE - 1), crowd(seconds=0), 1)


@pytest.mark.integration
@pytest.mark.timeout(600)
async def test_both_lists_are_read_among_as_many_rows_as_were_asked_for(databases):
    tenancy, engine = databases
    bar = await lists_ratio(tenancy, engine, SIZES, lambda _text: None)
    for database, table in ((tenancy[1], "audit_entries"), (engine[1], "restore_points"), (engine[1], "point_disks")):
        rows, organizations = (await asked(database, f"select count(*), count(distinct tenant_id) from {table}"))[0]
        assert (rows, organizations) == (SIZES.rows, SIZES.rows // EACH)
    assert bar.value > 0
    assert all(name in bar.note for name in ("audit log", "restore points"))
