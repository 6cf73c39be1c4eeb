"""One conformance suite for both brokers: the in-process one and RabbitMQ with quorum queues."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest
from common.ids import uuid7
from common.messaging import BrokerUnavailable, Envelope, Subscriptions, Unroutable
from common.messaging.in_process import InProcessBroker
from common.messaging.rabbitmq import RabbitBroker, dead_letters, exchange_of, inbox_queue, permissions
from common.testing import eventually
from pydantic import BaseModel


class Booked(BaseModel):
    guest: str


def booking(guest: str = "guest", *, source: str = "hotel", kind: str = "room.booked.v1") -> Envelope:
    return Envelope(
        id=uuid7(),
        source=source,
        type=kind,
        time=datetime.now(UTC),
        subject="1",
        tenantid=uuid7(),
        dataschema="x",
        aggregateversion=1,
        data={"guest": guest},
    )


PASSWORD = "password-of-the-test"


def bookings_of(consumer: str) -> Subscriptions:
    found = Subscriptions(consumer)

    @found.on("room.booked", source="hotel")
    async def handle(event: Booked, uow: Any, envelope: Envelope) -> None:
        """The suite looks at deliveries, not at handling."""

    return found


class Inbox:
    """Stands for a consumer's durable inbox; fails as often as told."""

    def __init__(self) -> None:
        self.received: list[Envelope] = []
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, envelope: Envelope) -> None:
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the inbox is away")
        self.received.append(envelope)

    def guests(self) -> list[str]:
        return sorted({e.data["guest"] for e in self.received})


@pytest.fixture(params=["in_process", "rabbitmq"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def rabbit_vhost(request: pytest.FixtureRequest) -> Any:
    server = request.getfixturevalue("rabbitmq_server")
    name = f"test-{uuid7().hex}"
    vhost = server.add_vhost(name)
    for service in ("hotel", "kitchen", "backup-engine"):
        vhost.add_user(service, PASSWORD, **permissions(service))
    yield vhost
    server.delete_vhost(name)


@pytest.fixture
async def brokers(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Return a function that makes and starts a service's broker with its subscriptions."""
    started: list[Any] = []
    shared = InProcessBroker()
    vhost = request.getfixturevalue("rabbit_vhost") if kind == "rabbitmq" else None

    async def make(service: str, *subscribed: tuple[Subscriptions, Inbox]) -> Any:
        broker = shared if vhost is None else RabbitBroker(vhost.url_for(service, PASSWORD), service)
        for subscriptions, receive in subscribed:
            broker.subscribe(subscriptions, receive)
        started.append(broker)
        return broker

    async def start() -> None:
        await asyncio.gather(*(broker.start() for broker in started))
        await eventually(lambda: all(broker.healthy() for broker in started), what="all bound")

    make.start = start  # type: ignore[attr-defined]
    yield make
    for broker in started:
        await broker.stop()


@asynccontextmanager
async def channel(url: str) -> AsyncIterator[Any]:
    connection = await aio_pika.connect(url)
    try:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)
    finally:
        await connection.close()


async def test_a_fact_reaches_every_consumer_that_is_bound_to_it(brokers) -> None:
    kitchen, desk = Inbox(), Inbox()
    publisher = await brokers("hotel", (bookings_of("hotel"), desk))
    await brokers("kitchen", (bookings_of("kitchen"), kitchen))
    await brokers.start()
    sent = [booking(f"g{n}") for n in range(20)]
    await asyncio.gather(*(publisher.publish(envelope) for envelope in sent))
    await eventually(lambda: len(kitchen.received) == len(desk.received) == 20)
    assert {e.id for e in kitchen.received} == {e.id for e in sent}
    assert {e.model_dump_json() for e in kitchen.received} == {e.model_dump_json() for e in sent}


@pytest.mark.invariant("S47")
async def test_publishing_what_nobody_takes_is_an_error(brokers) -> None:
    publisher = await brokers("hotel", (bookings_of("hotel"), Inbox()))
    await brokers.start()
    with pytest.raises(Unroutable):
        await publisher.publish(booking(kind="room.left.v1"))


@pytest.mark.invariant("S45")
async def test_a_delivery_is_not_acknowledged_before_it_is_stored(brokers, kind: str) -> None:
    inbox = Inbox()
    inbox.failures = 2
    publisher = await brokers("hotel", (bookings_of("hotel"), inbox))
    await brokers.start()
    envelope = booking()
    for _ in range(3):
        try:
            await publisher.publish(envelope)
        except ConnectionError:
            assert kind == "in_process", "the in-process relay sees the inbox's failure and tries again"
        else:
            break
    await eventually(lambda: inbox.received)
    assert inbox.received[0].id == envelope.id


@pytest.mark.invariant("S50")
async def test_a_stop_during_a_delivery_loses_nothing(brokers, kind: str, request: pytest.FixtureRequest) -> None:
    inbox = Inbox()
    inbox.gate.clear()
    publisher = await brokers("hotel", (bookings_of("hotel"), inbox))
    await brokers.start()
    publishing = asyncio.gather(*(publisher.publish(booking(f"g{n}")) for n in range(5)))
    await asyncio.sleep(0.1)
    stopping = asyncio.create_task(publisher.stop())
    await asyncio.sleep(0.1)
    inbox.gate.set()
    await asyncio.gather(publishing, stopping)
    if kind == "rabbitmq":
        again = await brokers("hotel", (bookings_of("hotel"), inbox))
        await again.start()
    await eventually(lambda: inbox.guests() == [f"g{n}" for n in range(5)])


async def test_a_work_queue_gives_each_task_to_one_taker_and_a_task_given_back_to_another(brokers) -> None:
    broker = await brokers("backup-engine")
    await brokers.start()
    for task in ("a", "b"):
        await broker.send_task("tasks.cloud", task)
    source = broker.tasks("tasks.cloud")
    first = await anext(source)
    await first.give_back()
    seen = []
    for _ in range(2):
        message = await anext(source)
        seen.append(message.task_id)
        await message.ack()
    assert sorted(seen) == ["a", "b"]
    await source.aclose()


@pytest.mark.invariant("S52")
async def test_a_fact_forged_by_another_user_is_refused_at_the_exchange_and_at_the_consumer(rabbit_vhost) -> None:
    inbox = Inbox()
    consumer = RabbitBroker(rabbit_vhost.url_for("hotel", PASSWORD), "hotel")
    consumer.subscribe(bookings_of("hotel"), inbox)
    await consumer.start()
    await eventually(consumer.healthy)
    forged = booking("forged")
    async with channel(rabbit_vhost.url_for("kitchen", PASSWORD)) as theirs:
        exchange = await theirs.get_exchange(exchange_of("hotel"), ensure=False)
        with pytest.raises(aio_pika.exceptions.AMQPException, match="ACCESS_REFUSED|access to exchange"):
            await exchange.publish(aio_pika.Message(forged.model_dump_json().encode()), "room.booked.v1")
    async with channel(rabbit_vhost.url) as admin:
        exchange = await admin.get_exchange(exchange_of("hotel"), ensure=False)
        body = aio_pika.Message(forged.model_dump_json().encode(), user_id=rabbit_vhost.user)
        await exchange.publish(body, "room.booked.v1")
        graveyard = await admin.get_queue(dead_letters(inbox_queue("hotel")), ensure=False)
        dead = await eventually(lambda: graveyard.get(fail=False))
    assert dead.body == body.body
    assert inbox.received == []
    await consumer.stop()


@pytest.mark.invariant("S48")
async def test_a_message_that_is_no_event_goes_to_the_dead_letters_with_its_reason(rabbit_vhost) -> None:
    inbox = Inbox()
    consumer = RabbitBroker(rabbit_vhost.url_for("hotel", PASSWORD), "hotel")
    consumer.subscribe(bookings_of("hotel"), inbox)
    await consumer.start()
    await eventually(consumer.healthy)
    async with channel(rabbit_vhost.url_for("hotel", PASSWORD)) as own:
        exchange = await own.get_exchange(exchange_of("hotel"), ensure=False)
        await exchange.publish(aio_pika.Message(b"not an event", user_id="hotel"), "room.booked.v1")
        graveyard = await own.get_queue(dead_letters(inbox_queue("hotel")), ensure=False)
        dead = await eventually(lambda: graveyard.get(fail=False))
    assert dead.headers["x-first-death-reason"] == "rejected"
    await consumer.stop()


async def test_after_a_lost_connection_facts_flow_again_by_themselves(rabbit_vhost) -> None:
    inbox = Inbox()
    broker = RabbitBroker(rabbit_vhost.url_for("hotel", PASSWORD), "hotel")
    broker.subscribe(bookings_of("hotel"), inbox)
    await broker.start()
    await eventually(broker.healthy)
    await broker._link.connection.close()
    await eventually(lambda: not broker.healthy())
    with pytest.raises(BrokerUnavailable):
        await broker.publish(booking("meanwhile"))
    await eventually(broker.healthy)
    await broker.publish(booking("after"))
    await eventually(lambda: inbox.guests() == ["after"])
    await broker.stop()
