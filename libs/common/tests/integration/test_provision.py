"""A service's database and roles, as a superuser makes them: again and again, and for an older database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg
import pytest
from common.ids import uuid7
from common.persistence.provision import STANDARD_DOORS, create_database, create_roles, drop_database

pytestmark = pytest.mark.integration
PASSWORD = "a-password-for-tests"


@dataclass
class Provisioned:
    admin_url: str
    name: str

    async def make(self, *system_roles: str) -> None:
        await create_roles(self.admin_url, self.name, system_roles, password=PASSWORD, owner_password=PASSWORD)
        await create_database(self.admin_url, self.name, self.name)

    async def enter(self, role: str) -> asyncpg.Connection:
        place = urlsplit(self.admin_url)
        return await asyncpg.connect(
            host=place.hostname, port=place.port, user=f"{self.name}_{role}", password=PASSWORD, database=self.name
        )


@pytest.fixture
async def provisioned(postgres_url: str) -> AsyncIterator[Provisioned]:
    name = f"inn{uuid7().hex[-8:]}"
    yield Provisioned(postgres_url, name)
    await drop_database(postgres_url, name)
    admin = await asyncpg.connect(postgres_url)
    for row in await admin.fetch("select rolname from pg_roles where rolname like $1", f"{name}\\_%"):
        await admin.execute(f'drop role "{row["rolname"]}"')
    await admin.close()


async def test_an_older_database_lets_roles_in_that_came_after_it_and_keeps_what_it_holds(
    provisioned: Provisioned,
) -> None:
    await provisioned.make("clerk")
    owner = await provisioned.enter("owner")
    await owner.execute("create table kept (id int)")
    await owner.execute("insert into kept values (1)")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await provisioned.enter("porter")
    await provisioned.make("clerk", "porter")
    porter = await provisioned.enter("porter")
    assert await owner.fetchval("select count(*) from kept") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await porter.fetch("select * from kept")
    await porter.close()
    await owner.close()


async def test_nobody_but_the_services_roles_may_enter(provisioned: Provisioned) -> None:
    await provisioned.make()
    other = Provisioned(provisioned.admin_url, f"{provisioned.name}b")
    await other.make()
    try:
        place = urlsplit(provisioned.admin_url)
        for door in (*STANDARD_DOORS, "owner"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(
                    host=place.hostname,
                    port=place.port,
                    user=f"{other.name}_{door}",
                    password=PASSWORD,
                    database=provisioned.name,
                )
    finally:
        await drop_database(other.admin_url, other.name)
        admin = await asyncpg.connect(other.admin_url)
        for door in (*STANDARD_DOORS, "owner"):
            await admin.execute(f'drop role "{other.name}_{door}"')
        await admin.close()
