"""That the figure can fail: policies that cost something are seen to."""

import asyncpg
import pytest
from common.persistence.rls import TENANT_IS_MINE
from common.testing import service_database
from devstack.bench.measuring import Sizes
from devstack.bench.tenancy import rls_scan_ratio
from devstack.members import TENANCY

pytestmark = pytest.mark.integration

SIZES = Sizes(rows=20_000, pairs=3)


@pytest.fixture
def database(postgres_url):
    yield from service_database(postgres_url, TENANCY.prefix, TENANCY.package_folder, TENANCY.system_roles)


async def with_policy(database, using):
    """Replace what a tenant may see of the scanned table, then measure."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute(f"alter policy tenant on inbox using ({using})")
    finally:
        await connection.close()
    return await rls_scan_ratio(database, SIZES, lambda _text: None)


async def test_a_policy_that_computes_for_each_row_misses_the_bar(database):
    bar = await with_policy(database, f"{TENANT_IS_MINE} and md5(repeat(envelope::text, 1000)) <> ''")
    assert bar.holds is False
    assert bar.limiting_stage == "one tenant's rows"


async def test_a_policy_that_no_index_serves_cannot_be_measured(database):
    with pytest.raises(AssertionError, match="reads everybody's rows"):
        await with_policy(database, "tenant_id::text = current_setting('app.tenant_id', true)")


async def test_a_policy_that_shows_all_tenants_cannot_be_measured(database):
    with pytest.raises(AssertionError, match="rows"):
        await with_policy(database, "true")
