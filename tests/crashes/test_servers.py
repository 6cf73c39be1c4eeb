"""RabbitMQ and PostgreSQL go away in the middle of purchases and come back; every part gets SIGTERM under load."""

import asyncio
import json
import signal
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import AMQPException
from common.ids import uuid7
from common.testing import eventually
from devstack.secrets import StackSecrets
from devstack.stack import PARTS, Stack

from tests.crashes.purchases import a_customer, buy, right_once

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PURCHASES = 6
AWAY_SECONDS = 10.0
WITH_BROKER = ("tenancy-worker", "billing-worker", "backup-engine-worker", "backup-engine-runner")
WITH_DATABASE = tuple(part for part in PARTS if part != "gateway-api")


@asynccontextmanager
async def purchases_running(stack: Stack, *, mails_twice: bool = False) -> AsyncIterator[None]:
    """Start purchases one shortly after the other, half by each method; in the end each is right, once."""
    customers = [await a_customer(stack) for _ in range(PURCHASES)]

    async def one(number: int) -> None:
        await asyncio.sleep(number)
        purchase = await buy(customers[number], ("paypal", "mtn_momo")[number % 2])
        await right_once(stack, purchase, mails_twice=mails_twice)

    buying = asyncio.gather(*(one(number) for number in range(PURCHASES)))
    try:
        yield
        await buying
    finally:
        buying.cancel()
        await asyncio.gather(buying, return_exceptions=True)
        for customer in customers:
            await customer.http.aclose()


async def all_miss(stack: Stack, parts: tuple[str, ...], dependency: str) -> None:
    """Wait until each of the parts says that it is not ready and that it misses this dependency, and only this."""

    wanted = dict.fromkeys(parts, (503, {dependency}))
    said: dict[str, tuple[int, set[str]]] = {}

    async def told() -> bool:
        for part in parts:
            status, body = await stack.readiness(part)
            said[part] = (status, set(body.get("missing", body)))
        return said == wanted

    try:
        await eventually(told)
    except AssertionError:
        assert said == wanted
        raise


async def same_processes(stack: Stack, act: Callable[[], Awaitable[Any]]) -> None:
    """Do something after which every part is ready again without having been restarted."""
    before = {part: stack.processes[part].pid for part in PARTS}
    await act()
    await stack.ready(seconds=120)
    assert {part: stack.processes[part].pid for part in PARTS} == before


@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S45")
@pytest.mark.parametrize("end", [pytest.param("stop", marks=pytest.mark.long), "kill"])
async def test_purchases_end_though_rabbitmq_is_away_for_ten_seconds(stack: Stack, end: str) -> None:
    async def outage() -> None:
        await asyncio.to_thread(getattr(stack.rabbitmq, end))
        came_back = asyncio.get_running_loop().time() + AWAY_SECONDS
        await all_miss(stack, WITH_BROKER, "broker")
        await asyncio.sleep(came_back - asyncio.get_running_loop().time())
        await asyncio.to_thread(stack.rabbitmq.start)

    async with purchases_running(stack):
        await asyncio.sleep(PURCHASES / 2)
        await same_processes(stack, outage)


@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S44")
@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGINT, marks=pytest.mark.long, id="fast"), pytest.param(signal.SIGQUIT, id="immediate")],
)
async def test_purchases_end_though_postgres_is_restarted(stack: Stack, how: signal.Signals) -> None:
    async def outage() -> None:
        await asyncio.to_thread(stack.postgres.stop, how)
        await all_miss(stack, WITH_DATABASE, "database")
        await asyncio.to_thread(stack.postgres.start)

    # Who could not write down that a mail was taken sends it again.
    async with purchases_running(stack, mails_twice=True):
        await asyncio.sleep(PURCHASES / 2)
        await same_processes(stack, outage)


@pytest.mark.long
@pytest.mark.usefixtures("untouched_neighbour")
@pytest.mark.invariant("S50")
@pytest.mark.parametrize("part", PARTS)
async def test_sigterm_under_load_loses_nothing_and_ends_well(stack: Stack, part: str) -> None:
    async with purchases_running(stack):
        await asyncio.sleep(PURCHASES / 2)
        stack.send(part, signal.SIGTERM)
        assert await stack.dead(part) == 0
        await stack.start_part(part)


def _url(stack: Stack, user: str) -> str:
    """The broker as one of the services sees it, with that service's own credentials."""
    kept = StackSecrets.kept_in(stack.folder / "secrets.json")
    return stack.rabbitmq.start().url_for(user, kept.broker_password)


async def _publish(url: str, exchange: str, event_type: str, body: bytes, user_id: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        target = await channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(body, user_id=user_id), event_type, mandatory=True, timeout=20)


@pytest.mark.invariant("S52")
@pytest.mark.parametrize("forger", ["backup-engine", "tenancy"])
async def test_no_service_can_write_to_the_exchange_of_billing(stack: Stack, forger: str) -> None:
    with pytest.raises(AMQPException, match=r"ACCESS_REFUSED.*events\.billing"):
        await _publish(_url(stack, forger), "events.billing", "payment.confirmed.v1", b"{}", forger)


@pytest.mark.invariant("S52")
async def test_no_service_can_publish_as_another(stack: Stack) -> None:
    with pytest.raises(AMQPException, match="user_id property set to"):
        await _publish(_url(stack, "backup-engine"), "events.backup-engine", "usage.recorded.v1", b"{}", "billing")


@pytest.mark.invariant("S52")
async def test_a_payment_that_another_service_claims_to_be_confirmed_provisions_nothing(stack: Stack) -> None:
    """The broker lets a service send what it likes through its own exchange; who takes it in refuses it."""
    async with await a_customer(stack) as customer:
        purchase = await buy(customer, "mtn_momo")
    query = "SELECT envelope FROM outbox WHERE tenant_id = $1 AND type = 'payment.confirmed.v1'"
    (genuine,) = await stack.rows("billing", query, purchase.tenant_id)
    tenant_id = uuid7()
    fields = {"id": str(uuid7()), "tenantid": str(tenant_id)}
    body = json.dumps(json.loads(genuine["envelope"]) | fields).encode()
    # Tenancy's queue is bound to this type of the backup engine's, so the message is delivered there.
    await _publish(_url(stack, "backup-engine"), "events.backup-engine", "usage.recorded.v1", body, "backup-engine")

    async def put_aside() -> bool:
        rows = await stack.rows("tenancy", "SELECT envelope, reason FROM inbox WHERE status = 'parked'")
        kept = [row["reason"] for row in rows if json.loads(row["envelope"]).get("body") == b64encode(body).decode()]
        return kept == ["source is not the publishing user"]

    await eventually(put_aside)
    assert not await stack.rows("tenancy", "SELECT 1 FROM organizations WHERE tenant_id = $1", tenant_id)
    assert not await stack.rows("tenancy", "SELECT 1 FROM inbox WHERE tenant_id = $1", tenant_id)
