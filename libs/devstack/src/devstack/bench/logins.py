"""What signing in costs beside argon2, whose cost is its purpose: log-ins a second against hashes a second.

Both sides check the same password against the same hash with as many threads; ours also goes through HTTP, the limits,
the database and the signature of a token.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from dataclasses import replace

from common.auth.internal_token import new_key
from common.clock import SystemClock
from common.ids import uuid7
from common.testing import ServiceClient, service_client, service_database, test_keys, test_verifier
from common.testing.databases import ServiceDatabase
from pydantic import SecretStr
from tenancy.adapters.passwords import Argon2Passwords
from tenancy.api.app import make_app
from tenancy.bootstrap import tools_of
from tenancy.domain.people import Credentials, Language, User
from tenancy.settings import NAME, Settings
from tenancy.workflows.tools import Tools

from devstack.bench.apart import folder as own_folder
from devstack.bench.figures import LOGINS_VS_ARGON2
from devstack.bench.measuring import Say, Sizes, interleaved, median_ratio
from devstack.bench.report import Bar
from devstack.members import TENANCY
from devstack.servers.postgres import EmbeddedPostgres

PASSWORD = "une phrase de passe du banc"
PEOPLE = 8
"""At once: enough to keep every thread busy while others wait for the database."""


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Sign people in, and only check their passwords, in turn."""
    with (
        own_folder() as folder,
        EmbeddedPostgres(folder / "postgres", throw_away=True) as server,
        contextmanager(service_database)(
            server.url, TENANCY.prefix, TENANCY.package_folder, TENANCY.system_roles
        ) as database,
    ):
        return [asyncio.run(logins_vs_argon2(database, sizes, say))]


async def logins_vs_argon2(database: ServiceDatabase, sizes: Sizes, say: Say) -> Bar:
    """Compare on a migrated database of tenancy.

    Raises:
        AssertionError: somebody was not let in.
    """
    settings = Settings(
        environment="test",
        **database.settings.model_dump(exclude_unset=True),
        gateway_public_keys=[test_keys()[1]],
        token_private_keys=SecretStr(json.dumps([new_key("bench")])),
        secret_key=SecretStr("a secret of the bench, 32 characters"),
        email_host="127.0.0.1",
        password_threads=os.cpu_count() or 1,
    )
    opened = database.open()
    tools = tools_of(settings, opened, SystemClock())
    alone = Argon2Passwords(settings.password_threads)
    times = max(PEOPLE, sizes.requests // 80)
    try:
        emails, stored = await _people(tools)
        client = service_client(make_app(tools, test_verifier(NAME)), NAME, anonymous=True)
        say(f"{times} log-ins of {PEOPLE} people at once, and as many hashes, {settings.password_threads} threads")
        pairs = await interleaved(
            lambda: _per_second(times, lambda turn: _login(client, emails[turn % PEOPLE])),
            lambda: _per_second(times, lambda _turn: _check(alone, stored)),
            sizes.pairs,
        )
    finally:
        alone.close()
        tools.passwords.close()
        await opened.close()
    fastest = max(ours for ours, _peer in pairs)
    return replace(
        LOGINS_VS_ARGON2,
        value=median_ratio(pairs),
        peer=f"argon2id alone, {max(peer for _ours, peer in pairs):.1f} hashes/s with as many threads",
        limiting_stage="argon2id",
        note=f"{fastest:.1f} log-ins/s",
    )


async def _people(tools: Tools) -> tuple[list[str], str]:
    stored = await tools.passwords.hash(PASSWORD)
    emails = []
    for _ in range(PEOPLE):
        user = User(uuid7(), f"{uuid7().hex}@exemple.cm", "Awa", Language.FR, tools.store.clock.now())
        async with tools.store.for_system("auth") as uow:
            await uow.users.add(user)
            await uow.users.add_credentials(Credentials(user.id, stored))
        emails.append(user.email)
    return emails, stored


async def _login(client: ServiceClient, email: str) -> None:
    answer = await client.post("/api/auth/login/", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text


async def _check(passwords: Argon2Passwords, stored: str) -> None:
    right, _renewed = await passwords.verify(PASSWORD, stored)
    assert right


async def _per_second(times: int, act: Callable[[int], Awaitable[None]]) -> float:
    """Do it so many times, `PEOPLE` at once; return how many a second."""
    turns = iter(range(times))

    async def one() -> None:
        for turn in turns:
            await act(turn)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(PEOPLE):
            group.create_task(one())
    return times / (time.perf_counter() - began)
