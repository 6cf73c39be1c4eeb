"""Fixtures of tenancy's tests: a migrated database of their own; each test takes fresh tenants and people."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from common.auth.internal_token import new_key
from common.messaging.inbox import InboxWorker
from common.testing import FrozenClock, ServiceDatabase, service_database, test_keys
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from tenancy.adapters.passwords import Argon2Passwords
from tenancy.bootstrap import PACKAGE_FOLDER, SYSTEM_ROLES, tools_of
from tenancy.messaging.handlers import subscriptions
from tenancy.settings import Settings
from tenancy.testing import Tenancy


@pytest.fixture(scope="session")
def database(postgres_url: str) -> Iterator[ServiceDatabase]:
    yield from service_database(postgres_url, "tenancy", PACKAGE_FOLDER, SYSTEM_ROLES)


@pytest.fixture
async def tenancy(database: ServiceDatabase) -> AsyncIterator[Tenancy]:
    settings = Settings(
        environment="test",
        **database.settings.model_dump(exclude_unset=True),
        gateway_public_keys=[test_keys()[1]],
        token_private_keys=SecretStr(json.dumps([new_key("signing")])),
        secret_key=SecretStr("a secret of the tests, 32 characters"),
        email_host="127.0.0.1",
        app_base_url="https://app.exemple.cm",
        even_answer=timedelta(milliseconds=60),
    )
    clock = FrozenClock()
    opened = database.open()
    tools = tools_of(settings, opened, clock)
    # A light hasher: these tests are about who gets in, not about how long argon2 takes.
    passwords = Argon2Passwords(2, Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1))
    tools.passwords.close()
    tools = replace(tools, passwords=passwords)
    yield Tenancy(tools, clock, database, InboxWorker(tools.store, subscriptions(tools.letters)))
    passwords.close()
    await opened.close()
