"""The service as it is built and run: parts, broker, command line."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from common.auth.internal_token import Claims, new_key
from common.ids import uuid7
from common.messaging.broker import BrokerUnavailable
from common.messaging.envelope import Envelope
from common.messaging.in_process import InProcessBroker
from common.parts import Service
from common.testing import ServiceDatabase, eventually, internal_auth, test_keys
from common.testing.databases import PASSWORD as DATABASE_PASSWORD
from pydantic import SecretStr
from tenancy.bootstrap import build, create_staff
from tenancy.errors import EmailTaken, WeakPassword
from tenancy.persistence import tables
from tenancy.settings import Settings
from tenancy.testing import PASSWORD, Tenancy, payment_confirmed

pytestmark = pytest.mark.integration


@asynccontextmanager
async def running(service: Service, *names: str) -> AsyncIterator[None]:
    """Run parts of a service for as long as the block lasts."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for name in names:
            ready = asyncio.Event()
            group.create_task(service.parts[name].run(stop, ready.set))
            async with asyncio.timeout(10):
                await ready.wait()
        try:
            yield
        finally:
            stop.set()
    await service.close()


def anybody(service: Service) -> httpx.AsyncClient:
    part = service.parts["api"]
    claims = Claims(None, None, request_id=str(uuid7()))
    return httpx.AsyncClient(base_url=part.url, auth=internal_auth("tenancy", claims))


async def published(broker: InProcessBroker, envelope: Envelope) -> None:
    """Publish as the relay does: what nobody confirmed in time is published again."""

    async def confirmed() -> bool:
        with suppress(BrokerUnavailable):
            await broker.publish(envelope)
            return True
        return False

    await eventually(confirmed)


@pytest.mark.invariant("S45")
@pytest.mark.invariant("S46")
async def test_two_workers_that_get_a_payment_again_and_again_open_one_organization(tenancy: Tenancy) -> None:
    broker = InProcessBroker()
    owner = await tenancy.person()
    event = payment_confirmed(owner)
    first, second = await build(tenancy.tools.settings, broker), await build(tenancy.tools.settings, broker)
    async with running(first, "worker"), running(second, "worker"):
        again = [event, *(event.model_copy(update={"id": uuid7()}) for _ in range(4))]
        await asyncio.gather(*(published(broker, envelope) for envelope in again * 2))

        async def all_done() -> bool:
            return {(await tenancy.inbox_row(envelope.id)).status for envelope in again} == {"done"}

        await eventually(all_done)
    assert len(await tenancy.rows(event.tenantid, tables.organizations)) == 1
    assert len(await tenancy.rows(event.tenantid, tables.memberships)) == 1
    told = [fact["type"] for fact in await tenancy.facts(event.tenantid)]
    assert told == ["org.provisioned.v1", "org.particulars_changed.v1"]
    assert len(await tenancy.mails_to(owner.email)) == 1


async def test_registering_and_signing_in_work_over_a_socket_with_the_real_hash(tenancy: Tenancy) -> None:
    service = await build(tenancy.tools.settings, InProcessBroker())
    email = f"{uuid7().hex}@exemple.cm"
    async with running(service, "api"), anybody(service) as client:
        registered = await client.post(
            "/api/auth/register/", json={"email": email, "password": PASSWORD, "full_name": "Awa"}
        )
        pair = await client.post("/api/auth/login/", json={"email": email, "password": PASSWORD})
        wrong = await client.post("/api/auth/login/", json={"email": email, "password": PASSWORD + " "})
    assert [answer.status_code for answer in (registered, pair, wrong)] == [201, 200, 401]


async def test_readiness_tells_whether_the_database_answers(tenancy: Tenancy) -> None:
    service = await build(tenancy.tools.settings, InProcessBroker())
    assert {name: await check() for name, check in service.checks_of("worker").items()} == {
        "database": None,
        "broker": None,
    }
    await service.close()


async def test_without_a_broker_or_its_address_nothing_starts(tenancy: Tenancy) -> None:
    with pytest.raises(ValueError, match="TENANCY_BROKER_URL"):
        await build(tenancy.tools.settings)


async def test_a_customer_does_not_become_staff_by_accident(tenancy: Tenancy) -> None:
    customer = await tenancy.person()
    with pytest.raises(EmailTaken):
        await create_staff(tenancy.tools.settings, email=customer.email, role="admin")
    with pytest.raises(WeakPassword):
        await create_staff(tenancy.tools.settings, email="a@b.cm", role="admin", password="password123")


async def test_creating_staff_again_renews_the_credentials(tenancy: Tenancy) -> None:
    email = f"{uuid7().hex}@plateforme.cm"
    first = await create_staff(tenancy.tools.settings, email=email, role="support")
    second = await create_staff(tenancy.tools.settings, email=email, role="finance", password=PASSWORD)
    assert (first.totp_secret != second.totp_secret, second.password) == (True, PASSWORD)
    async with tenancy.store.for_system("auth") as uow:
        user = await uow.users.by_email(email)
    assert user is not None
    assert user.staff_roles == {"finance"}


async def test_the_command_line_prints_the_credentials_once(tenancy: Tenancy, database: ServiceDatabase) -> None:
    email = f"{uuid7().hex}@plateforme.cm"
    variables = {
        "ENVIRONMENT": "test",
        "TENANCY_DATABASE_URL": database.settings.database_url,
        "TENANCY_DATABASE_PASSWORD": DATABASE_PASSWORD,
        "TENANCY_GATEWAY_PUBLIC_KEYS": json.dumps([test_keys()[1]]),
        "TENANCY_TOKEN_PRIVATE_KEYS": json.dumps([new_key("k")]),
        "TENANCY_SECRET_KEY": "a secret of the tests, 32 characters",
        "EMAIL_HOST": "127.0.0.1",
        "PATH": os.environ["PATH"],
    }
    command = (sys.executable, "-m", "tenancy", "create_staff", "--email", email, "--role", "admin")
    process = await asyncio.create_subprocess_exec(
        *command, env=variables, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err
    shown = json.loads(out.splitlines()[-1])
    assert shown["email"] == email
    async with tenancy.store.for_system("auth") as uow:
        user = await uow.users.by_email(email)
        assert user is not None
        held = await uow.users.credentials(user.id)
    assert held is not None
    assert held.totp_sealed is not None
    assert shown["totp_secret"].encode() not in held.totp_sealed
    assert (await tenancy.tools.passwords.verify(shown["password"], held.password_hash))[0]


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TENANCY_"):
            monkeypatch.delenv(name)
    with pytest.raises(ValueError, match="token_private_keys"):
        Settings(environment="test", secret_key=SecretStr("x" * 32))
