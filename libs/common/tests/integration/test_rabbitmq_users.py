"""What a service that was taken over can't do to the others over RabbitMQ: the product's users and permissions, really.

The kitchen attacks the hotel. Only RabbitMQ has users; the in-process broker's one user is the process.
"""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import AMQPException
from common.messaging import Envelope
from common.messaging.parked import Parked
from common.messaging.topology import dead_letters, exchange_of, inbox_queue
from common.telemetry.metrics import EVENTS_REFUSED
from common.testing import eventually
from hotel.line import Doors, Line, booking, inspection
from hotel.networks import RabbitNetwork

pytestmark = pytest.mark.invariant("S52")

REFUSED = "source is not the publishing user"
HOTELS = inbox_queue("hotel")
FACTS = exchange_of("hotel")


@asynccontextmanager
async def channel(network: RabbitNetwork, user: str) -> AsyncIterator[Any]:
    connection = await aio_pika.connect(network.url_for(user))
    try:
        yield await connection.channel(publisher_confirms=True, on_return_raises=True)
    finally:
        await connection.close()


def message(envelope: Envelope, user: str | None) -> aio_pika.Message:
    return aio_pika.Message(envelope.model_dump_json().encode(), user_id=user)


@pytest.fixture
async def hotel(own_store: Doors, rabbit: RabbitNetwork) -> Line:
    """The hotel takes in its own bookings, and meals of the kitchen."""
    line = Line(own_store, rabbit.broker("hotel"))
    line.subscriptions.keep("meal.cooked", source="kitchen")
    line.bind()
    rabbit.broker("kitchen")
    await rabbit.up()
    return line


async def _publish_to_anothers_exchange(theirs: Any) -> None:
    exchange = await theirs.get_exchange(FACTS, ensure=False)
    await exchange.publish(message(booking(), "kitchen"), "room.booked.v1")


async def _say_that_another_published(theirs: Any) -> None:
    exchange = await theirs.get_exchange(exchange_of("kitchen"), ensure=False)
    await exchange.publish(message(booking(), "hotel"), "meal.cooked.v1")


async def _put_into_anothers_queue(theirs: Any) -> None:
    await theirs.default_exchange.publish(message(booking(), "kitchen"), HOTELS)


async def _put_into_anothers_dead_letters(theirs: Any) -> None:
    exchange = await theirs.get_exchange(dead_letters(HOTELS), ensure=False)
    await exchange.publish(message(booking(), "kitchen"), "")


async def _read_anothers_queue(theirs: Any) -> None:
    await (await theirs.get_queue(HOTELS, ensure=False)).get(fail=False)


async def _read_anothers_dead_letters(theirs: Any) -> None:
    await (await theirs.get_queue(dead_letters(HOTELS), ensure=False)).get(fail=False)


async def _empty_anothers_queue(theirs: Any) -> None:
    await (await theirs.get_queue(HOTELS, ensure=False)).purge()


async def _delete_anothers_queue(theirs: Any) -> None:
    await theirs.queue_delete(HOTELS)


async def _delete_anothers_exchange(theirs: Any) -> None:
    await theirs.exchange_delete(FACTS)


async def _declare_anothers_exchange(theirs: Any) -> None:
    await theirs.declare_exchange(exchange_of("laundry"), aio_pika.ExchangeType.TOPIC)


async def _declare_anothers_queue(theirs: Any) -> None:
    await theirs.declare_queue(inbox_queue("laundry"))


async def _declare_a_queue_whose_name_only_begins_like_ones_own(theirs: Any) -> None:
    await theirs.declare_queue(f"{inbox_queue('kitchen')}.more")


async def _declare_a_work_queue(theirs: Any) -> None:
    await theirs.declare_queue("tasks.cloud")


async def _bind_anothers_queue_to_ones_own_exchange(theirs: Any) -> None:
    await (await theirs.get_queue(HOTELS, ensure=False)).bind(exchange_of("kitchen"), "#")


async def _unbind_anothers_queue(theirs: Any) -> None:
    await (await theirs.get_queue(HOTELS, ensure=False)).unbind(FACTS, "room.booked.v1")


async def _bind_anothers_exchange_to_ones_own(theirs: Any) -> None:
    await (await theirs.get_exchange(FACTS, ensure=False)).bind(exchange_of("kitchen"), "#")


async def _let_dead_letters_fall_into_anothers_exchange(theirs: Any) -> None:
    await theirs.queue_delete(inbox_queue("kitchen"))
    await theirs.declare_queue(inbox_queue("kitchen"), arguments={"x-dead-letter-exchange": FACTS})


async def _let_dead_letters_fall_into_anothers_queue(theirs: Any) -> None:
    fall = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": HOTELS}
    await theirs.declare_queue(inbox_queue("kitchen"), arguments=fall)


async def _let_what_is_not_routed_fall_into_anothers_exchange(theirs: Any) -> None:
    await theirs.exchange_delete(exchange_of("kitchen"))
    await theirs.declare_exchange(exchange_of("kitchen"), arguments={"alternate-exchange": FACTS})


ATTACKS = [act for name, act in list(globals().items()) if name.startswith("_") and inspect.iscoroutinefunction(act)]


async def test_the_broker_refuses_every_way_into_what_is_anothers(hotel: Line, rabbit: RabbitNetwork) -> None:
    for attack in ATTACKS:
        async with channel(rabbit, "kitchen") as theirs:
            with pytest.raises(AMQPException, match=r"ACCESS_REFUSED|access to|user_id property set to") as refused:
                await attack(theirs)
        assert "NOT_FOUND" not in str(refused.value), attack.__name__
    await hotel.broker.publish(fact := booking())
    await eventually(lambda: hotel.state(fact.id))
    assert await hotel.stored() == 1


@pytest.mark.parametrize("user", ["hotel", "backup-engine"])
async def test_nobody_writes_to_the_default_exchange(hotel: Line, rabbit: RabbitNetwork, user: str) -> None:
    async with channel(rabbit, user) as own:
        with pytest.raises(AMQPException, match="ACCESS_REFUSED|access to exchange"):
            await own.default_exchange.publish(message(booking(), user), HOTELS)
    assert await hotel.stored() == 0


async def test_a_forged_fact_is_counted_and_put_aside_with_its_reason_and_no_replay_lets_it_in(
    hotel: Line, rabbit: RabbitNetwork
) -> None:
    forged = booking("forged")
    before = EVENTS_REFUSED.labels("hotel", REFUSED)._value.get()
    async with channel(rabbit, "kitchen") as theirs:
        exchange = await theirs.get_exchange(exchange_of("kitchen"), ensure=False)
        await exchange.publish(message(forged, "kitchen"), "meal.cooked.v1")
        await exchange.publish(message(forged, None), "meal.cooked.v1")
    parked = Parked(hotel.store)
    found = await eventually(lambda: _two(parked))
    assert EVENTS_REFUSED.labels("hotel", REFUSED)._value.get() == before + 2
    assert {fact.reason for fact in found} == {REFUSED}
    assert {fact.source for fact in found} == {"kitchen", "unknown"}
    assert forged.id not in {fact.event_id for fact in found}, "the genuine fact's place is free"
    assert await parked.replay() == (0, 2)
    await hotel.broker.publish(forged)
    await eventually(lambda: hotel.is_("pending", forged.id))


@pytest.mark.invariant("S100")
async def test_a_forged_fact_of_nobodys_organization_is_refused_though_a_handler_takes_such(
    hotel: Line, rabbit: RabbitNetwork
) -> None:
    forged = inspection("the kitchen", subject="forged")
    async with channel(rabbit, "kitchen") as theirs:
        exchange = await theirs.get_exchange(exchange_of("kitchen"), ensure=False)
        await exchange.publish(message(forged, "kitchen"), "meal.cooked.v1")
        await exchange.publish(message(forged, None), "meal.cooked.v1")
    found = await eventually(lambda: _two(Parked(hotel.store)))
    assert {fact.reason for fact in found} == {REFUSED}
    await hotel.handle_all()
    assert await hotel.inspected("forged") == []


async def _two(parked: Parked) -> list[Any] | None:
    found = await parked.all()
    return found if len(found) == 2 else None


async def test_a_genuine_fact_that_somebody_kept_and_lets_go_later_is_refused(
    hotel: Line, rabbit: RabbitNetwork
) -> None:
    """By dead-lettering it keeps its user. Applied after the inbox has forgotten it, it would be applied twice."""
    late = {
        "x-message-ttl": 1,
        "x-dead-letter-exchange": exchange_of("kitchen"),
        "x-dead-letter-routing-key": "meal.cooked.v1",
    }
    async with channel(rabbit, "kitchen") as theirs:
        trap = await theirs.declare_queue(inbox_queue("kitchen"), arguments=late)
        await trap.bind(FACTS, "room.booked.v1")
        await hotel.broker.publish(fact := booking())
        found = await eventually(Parked(hotel.store).all)
    assert [(one.source, one.reason) for one in found] == [("hotel", REFUSED)]
    # The fact itself came by a queue of its own.
    assert (await eventually(lambda: hotel.state(fact.id))).status == "pending"
    assert await hotel.stored() == 2


async def test_a_fact_with_the_id_of_anothers_fact_does_not_take_its_place(hotel: Line, rabbit: RabbitNetwork) -> None:
    genuine = booking()
    squatting = genuine.model_copy(
        update={"source": "kitchen", "type": "meal.cooked.v1", "dataschema": "events/meal.cooked.v1.json"}
    )
    async with channel(rabbit, "kitchen") as theirs:
        exchange = await theirs.get_exchange(exchange_of("kitchen"), ensure=False)
        await exchange.publish(message(squatting, "kitchen"), "meal.cooked.v1")
    await eventually(lambda: hotel.stored_are(1))
    await hotel.broker.publish(genuine)
    await eventually(lambda: hotel.stored_are(2))
    await hotel.handle_all()
    assert genuine.tenantid is not None
    assert await hotel.rooms(genuine.tenantid) == ["guest"]
