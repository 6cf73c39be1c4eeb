"""What only RabbitMQ can do to us: bytes of another program, queues that somebody deletes, too many redeliveries."""

import asyncio

import aio_pika
import pytest
from common.ids import uuid7
from common.messaging import BrokerUnavailable, Envelope, deliveries, refusal, topology
from common.messaging.parked import Parked
from common.messaging.topology import TASKS, exchange_of, inbox_queue
from common.testing import eventually
from hotel.line import Doors, Line, booking
from hotel.networks import RabbitNetwork

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
async def line(own_store: Doors, rabbit: RabbitNetwork) -> Line:
    line = Line(own_store, rabbit.broker("hotel"))
    line.bind()
    await rabbit.up()
    return line


async def _send(rabbit: RabbitNetwork, body: bytes) -> None:
    connection = await aio_pika.connect(rabbit.url)
    async with connection, connection.channel() as channel:
        exchange = await channel.get_exchange(exchange_of("hotel"), ensure=False)
        await exchange.publish(aio_pika.Message(body, user_id="hotel"), "room.booked.v1")


@pytest.mark.invariant("S48")
async def test_bytes_that_are_no_event_are_parked_with_the_reason_and_replayed_by_who_understands_them(
    line: Line, rabbit: RabbitNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    fact = booking()
    await _send(rabbit, fact.model_dump_json(exclude={"dataschema"}).encode())
    await line.broker.publish(booking("next", tenant=fact.tenantid))
    parked = Parked(line.store)
    (found,) = await eventually(parked.all)
    assert (found.type, found.source, found.reason) == ("refused delivery", "hotel", "not an event")
    assert await parked.replay(found.event_id) == (0, 1)

    class Later(Envelope):
        dataschema: str = "events/room.booked.v1.json"

    monkeypatch.setattr(refusal, "Envelope", Later)
    assert await parked.replay(found.event_id) == (1, 0)
    await line.handle_all()
    assert await line.rooms(fact.tenantid) == ["guest", "next"]
    assert await parked.all() == []


@pytest.mark.invariant("S45")
@pytest.mark.parametrize("name", [inbox_queue("hotel"), exchange_of("hotel")])
async def test_what_somebody_deletes_under_a_standing_connection_is_declared_and_bound_again(
    line: Line, rabbit: RabbitNetwork, name: str
) -> None:
    kind = "queues" if name.startswith("inbox") else "exchanges"
    await asyncio.to_thread(rabbit.vhost.ask, "DELETE", f"{kind}/{rabbit.vhost.vhost}/{name}")
    tenant = uuid7()
    event_id = await line.book(tenant)
    async with line.running():
        await eventually(lambda: line.is_("done", event_id))
    assert line.broker.healthy()


async def test_while_the_broker_is_away_publishing_says_so_and_tasks_come_again_when_it_is_back(
    rabbit: RabbitNetwork, line: Line
) -> None:
    broker = rabbit.broker("backup-engine")
    await rabbit.up()
    source = broker.tasks("tasks.cloud")
    await broker.send_task("tasks.cloud", "a")
    assert (await anext(source)).task_id == "a"
    rabbit.pull()
    await eventually(lambda: not line.broker.healthy() and not broker.healthy())
    with pytest.raises(BrokerUnavailable):
        await line.broker.publish(booking())
    with pytest.raises(BrokerUnavailable):
        await broker.send_task("tasks.cloud", "b")
    await rabbit.plug()
    await rabbit.up()
    again = await anext(source)
    assert again.task_id == "a", "not acknowledged before"
    await again.ack()
    await source.aclose()


async def test_a_work_queue_that_somebody_deletes_is_declared_again_for_the_next_task(rabbit: RabbitNetwork) -> None:
    broker = rabbit.broker("backup-engine")
    await rabbit.up()
    await broker.send_task("tasks.cloud", "before")
    await asyncio.to_thread(rabbit.vhost.ask, "DELETE", f"queues/{rabbit.vhost.vhost}/tasks.cloud")
    with pytest.raises(BrokerUnavailable):
        await broker.send_task("tasks.cloud", "lost")
    await broker.send_task("tasks.cloud", "again")
    source = broker.tasks("tasks.cloud")
    assert (await anext(source)).task_id == "again"
    await source.aclose()


@pytest.mark.invariant("S45")
async def test_however_long_the_broker_is_away_a_fact_goes_out_with_the_first_look_after_it(
    line: Line, rabbit: RabbitNetwork
) -> None:
    rabbit.pull()
    await eventually(lambda: not line.broker.connected())
    event_id = await line.book(uuid7())
    for _ in range(12):
        assert await line.relay.publish_batch() == 0
    kept = await line.sent(event_id)
    assert (kept.attempts, kept.next_attempt_at) == (0, None)
    await rabbit.plug()
    await rabbit.up()
    assert await line.relay.publish_batch() == 1
    assert (await line.sent(event_id)).published_at is not None


@pytest.mark.invariant("S45")
async def test_a_fact_that_was_given_back_too_often_is_stored_after_all_when_the_inbox_is_there(
    own_store: Doors, rabbit: RabbitNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "DELIVERY_LIMIT", 2)
    monkeypatch.setattr(deliveries, "HOLD_SECONDS", 0.05)
    line = Line(own_store, rabbit.broker("hotel"))
    tries = 0

    async def away(envelope: Envelope) -> None:
        nonlocal tries
        tries += 1
        if tries == 5:
            monkeypatch.setattr(deliveries, "HOLD_SECONDS", 30)
        if tries <= 5:
            await asyncio.Event().wait()
        await line.inbox.receive(envelope)

    line.bind(away)
    await rabbit.up()
    fact = booking()
    await line.broker.publish(fact)
    await eventually(lambda: line.is_("pending", fact.id))
    assert tries == 6, "three deliveries, then the dead letters"
    assert await Parked(own_store).all() == []


def test_work_queues_have_an_exchange_of_their_own() -> None:
    allowed = topology.permissions("backup-engine")
    assert TASKS.startswith("tasks.")
    assert "amq" not in allowed["write"]
