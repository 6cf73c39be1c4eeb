"""That log-ins are counted that let somebody in, and no others."""

import asyncpg
import pytest
from common.testing import service_database
from devstack.bench import logins
from devstack.bench.logins import PEOPLE, logins_vs_argon2
from devstack.bench.measuring import Sizes
from devstack.members import TENANCY

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SIZES = Sizes(requests=80, pairs=1)


@pytest.fixture
def database(postgres_url):
    yield from service_database(postgres_url, TENANCY.prefix, TENANCY.package_folder, TENANCY.system_roles)


async def test_every_login_that_counts_is_a_session(database):
    bar = await logins_vs_argon2(database, SIZES, lambda _text: None)
    superuser = await asyncpg.connect(database.admin_url)
    try:
        found = await superuser.fetchrow("select count(*) as sessions, count(distinct user_id) as people from sessions")
    finally:
        await superuser.close()
    assert dict(found) == {"sessions": PEOPLE, "people": PEOPLE}
    assert 0 < bar.value < 1.5


async def test_somebody_who_is_not_let_in_ends_the_measurement(database, monkeypatch):
    hashed = logins.Argon2Passwords.hash

    async def of_another_password(self, _password):
        return await hashed(self, "another one")

    monkeypatch.setattr(logins.Argon2Passwords, "hash", of_another_password)
    with pytest.raises(ExceptionGroup):
        await logins_vs_argon2(database, SIZES, lambda _text: None)
