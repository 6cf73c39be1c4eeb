"""Both brokers, one behaviour: what an event's way from commit to effect promises, whichever broker carries it.

- A fact reaches every consumer that is bound to it and is applied once by each, however often and in whatever order
  it is delivered, and whoever dies or is cut off between two steps.
- What nobody takes stays in the outbox; what can't be read or applied is put aside with its reason and can be
  replayed; neither holds up what comes after it.
- A consumer that is slow or away holds a bounded number of facts for a bounded time, and holds up no other.
- A broker that was away needs nobody's help when it comes back.

Each test runs on the in-process broker and on RabbitMQ with quorum queues. The in-process broker has no connection:
where RabbitMQ's is cut or pulled out, there the consumer's inbox is, which is what the same step of the relay then
meets. What only RabbitMQ can have (users, bytes of another program, queues that somebody deletes) is in
`test_rabbitmq_users` and `test_rabbitmq_faults`, for the broker of one process has one user and no bytes.
"""

import asyncio
import itertools
import signal
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.messaging import Envelope, Subscriptions, Unroutable, deliveries, in_process, rabbitmq, relay
from common.messaging.inbox import BUG_TRIES, InboxWorker
from common.messaging.parked import Parked
from common.persistence.mechanisms import outbox
from common.testing import ServiceDatabase, eventually
from hotel.line import Doors, Line, booking, inspection
from hotel.networks import Network
from hotel.process import start_process
from sqlalchemy import insert

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def line(own_store: Doors, network: Network) -> Line:
    return Line(own_store, network.broker("hotel"))


@pytest.fixture
def kitchen(own_store: Doors, network: Network) -> Line:
    return Line(own_store, network.broker("kitchen"), "kitchen")


async def test_a_fact_reaches_every_consumer_that_is_bound_to_it(line: Line, kitchen: Line, network: Network) -> None:
    taken: dict[str, list[str]] = {"hotel": [], "kitchen": []}

    def noting(consumer: str) -> Any:
        async def receive(envelope: Envelope) -> None:
            taken[consumer].append(envelope.model_dump_json())

        return receive

    for one in (line, kitchen):
        one.bind(noting(one.consumer))
    await network.up()
    sent = [booking(f"g{n}") for n in range(20)]
    await asyncio.gather(*(line.broker.publish(envelope) for envelope in sent))
    await eventually(lambda: all(len(found) == 20 for found in taken.values()))
    assert {frozenset(found) for found in taken.values()} == {frozenset(one.model_dump_json() for one in sent)}


@pytest.mark.invariant("S47")
async def test_a_fact_that_nobody_takes_is_an_error_stays_in_the_outbox_and_goes_out_once_somebody_does(
    line: Line, network: Network
) -> None:
    await network.up()
    with pytest.raises(Unroutable):
        await line.broker.publish(booking())
    tenant = uuid7()
    event_id = await line.book(tenant)
    await line.relay.publish_batch()
    kept = await line.sent(event_id)
    assert (kept.published_at, kept.attempts, kept.last_error) == (None, 1, "unroutable: room.booked.v1")
    kitchen = Line(line.store, network.broker("kitchen"), "kitchen")
    kitchen.bind()
    await network.up()
    async with line.running(kitchen.inbox):
        await eventually(lambda: kitchen.is_("done", event_id))
        await eventually(line.unsent_none)
    assert await kitchen.rooms(tenant) == ["guest"]


@pytest.mark.invariant("S45")
@pytest.mark.parametrize("times", [1, 2, 7])
async def test_a_fact_delivered_many_times_is_applied_once(line: Line, network: Network, times: int) -> None:
    line.bind()
    await network.up()
    fact = booking()
    async with line.running():
        await asyncio.gather(*(line.broker.publish(fact) for _ in range(times)))
        await eventually(lambda: line.is_("done", fact.id))
        await line.broker.publish(fact)
        await line.broker.publish(last := booking("last", tenant=fact.tenantid))
        await eventually(lambda: line.is_("done", last.id))
    assert await line.rooms(fact.tenantid) == ["guest", "last"]


@pytest.mark.invariant("S45")
@pytest.mark.parametrize("stored", [False, True], ids=["before_it_is_stored", "after_it_is_stored"])
async def test_a_delivery_whose_connection_is_lost_comes_again_and_is_applied_once(
    line: Line, network: Network, stored: bool
) -> None:
    met: list[UUID] = []
    lost: list[UUID] = []

    async def receive(envelope: Envelope) -> None:
        met.append(envelope.id)
        if stored:
            await line.inbox.receive(envelope)
        if not lost:
            lost.append(envelope.id)
            network.cut()
        if not stored:
            await line.inbox.receive(envelope)

    line.bind(receive)
    await network.up()
    tenant = uuid7()
    ids = await line.book_many(tenant, 5)
    async with line.running():
        for event_id in ids:
            await eventually(lambda event_id=event_id: line.is_("done", event_id))
        await eventually(lambda: met.count(lost[0]) > 1, what="a redelivery")
        await eventually(line.unsent_none)
    assert await line.rooms(tenant) == [f"g{n}" for n in range(5)]


@pytest.mark.invariant("S49")
async def test_in_any_order_the_newest_state_stands_and_no_fact_is_dropped(line: Line, network: Network) -> None:
    line.bind()
    await network.up()
    orders = {uuid7(): order for order in itertools.permutations((1, 2, 3, 4))}
    room = uuid7()

    async def deliver(tenant: UUID, version: int) -> None:
        furnished = {"type": "room.furnished.v1", "dataschema": "events/room.furnished.v1.json"}
        state = booking(tenant=tenant, subject=str(room), aggregateversion=version, data={"beds": version}, **furnished)
        await line.broker.publish(state)
        await line.broker.publish(booking(f"v{version}", tenant=tenant, aggregateversion=version))
        await line.broker.publish(state)

    for turn in range(4):
        await asyncio.gather(*(deliver(tenant, order[turn]) for tenant, order in orders.items()))
        await eventually(lambda turn=turn: line.stored_are(48 * (turn + 1)))
        await line.handle_all()
    for tenant, order in orders.items():
        assert await line.beds(tenant, room) == 4, order
        assert await line.rooms(tenant) == ["v1", "v2", "v3", "v4"], order


@pytest.mark.invariant("S48")
@pytest.mark.parametrize(
    ("guest", "tries", "reason"),
    [("poison", 1, "NoVacancy: No vacancy."), ("buggy", BUG_TRIES, "ZeroDivisionError: ")],
    ids=["refused", "a_bug"],
)
async def test_a_fact_that_always_fails_is_parked_with_its_reason_and_replayed_when_the_cause_is_gone(
    own_store: Doors, network: Network, guest: str, tries: int, reason: str
) -> None:
    failures = {guest: 99}
    line = Line(own_store, network.broker("hotel"), failures=failures)
    line.bind()
    await network.up()
    tenant = uuid7()
    event_id, other = await line.book(tenant, guest), await line.book(tenant, "other")
    async with line.running():
        await eventually(lambda: line.is_("parked", event_id))
        await eventually(lambda: line.is_("done", other))
        state = await line.state(event_id)
        assert (state.attempts, state.reason) == (tries, reason)
        assert await line.rooms(tenant) == ["other"]
        failures.clear()
        assert await Parked(own_store).replay(event_id) == (1, 0)
        await eventually(lambda: line.is_("done", event_id))
    assert await line.rooms(tenant) == sorted([guest, "other"])


@pytest.mark.invariant("S48")
async def test_a_row_that_is_no_event_stays_with_its_reason_and_goes_out_when_it_is_understood(
    line: Line, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.bind()
    await network.up()
    broken = booking()
    async with line.store.for_tenant(broken.tenantid) as uow:
        row = {"id": broken.id, "tenant_id": broken.tenantid, "type": broken.type, "created_at": broken.time}
        envelope = broken.model_dump(mode="json", exclude={"dataschema"})
        await uow.session.execute(insert(outbox).inline().values(**row, envelope=envelope))
    good = await line.book(broken.tenantid, "good")
    async with line.running():
        await eventually(lambda: line.is_("done", good))
        kept = await line.sent(broken.id)
        assert (kept.published_at, kept.last_error.partition(":")[0]) == (None, "ValidationError")

        class Later(Envelope):
            dataschema: str = "events/room.booked.v1.json"

        monkeypatch.setattr(relay, "Envelope", Later)
        await eventually(lambda: line.is_("done", broken.id))
    assert await line.rooms(broken.tenantid) == ["good", "guest"]


@pytest.mark.invariant("S49")
async def test_unknown_fields_are_accepted(line: Line, network: Network) -> None:
    line.bind()
    await network.up()

    class Richer(Envelope):
        extension: str = "x"

    fact = booking(data={"guest": "guest", "breakfast": True})
    await line.broker.publish(Richer(**fact.model_dump()))
    await eventually(lambda: line.state(fact.id))
    await line.handle_all()
    assert await line.rooms(fact.tenantid) == ["guest"]


@pytest.mark.invariant("S52")
async def test_a_fact_without_a_tenant_is_parked_and_gets_nobodys(line: Line, network: Network) -> None:
    line.bind()
    await network.up()
    fact = booking().model_copy(update={"tenantid": None})
    await line.broker.publish(fact)
    await eventually(lambda: line.state(fact.id))
    await line.handle_all()
    state = await line.state(fact.id)
    assert (state.status, state.reason) == ("parked", "the fact names no tenant")


@pytest.mark.invariant("S100")
async def test_a_fact_without_a_tenant_is_applied_once_by_a_handler_that_says_that_it_takes_such(
    line: Line, network: Network
) -> None:
    line.bind()
    followed: list[UUID] = []

    async def follow(_uow: Any, envelope: Envelope) -> None:
        followed.append(envelope.id)

    line.subscriptions.after_each(follow)
    await network.up()
    subject, tenant = uuid7().hex, uuid7()
    nobodys, somebodys = inspection(subject=subject), inspection(tenant=tenant, subject=subject)
    for _ in range(3):
        await line.broker.publish(nobodys)
    await line.broker.publish(somebodys)
    await eventually(lambda: line.stored_are(2))
    await line.handle_all()
    await line.broker.publish(nobodys)
    await line.broker.publish(last := booking())
    await eventually(lambda: line.state(last.id))
    await line.handle_all()
    assert sorted(await line.inspected(subject), key=str) == sorted([(None, "Ana"), (tenant, "Ana")], key=str)
    assert (await line.state(nobodys.id)).status == "done"
    assert nobodys.id not in followed
    assert {somebodys.id, last.id} <= set(followed)


@pytest.mark.invariant("S100")
async def test_what_fails_of_a_fact_without_a_tenant_leaves_nothing_and_is_tried_again(
    own_store: Doors, network: Network
) -> None:
    line = Line(own_store, network.broker("hotel"), failures={"Ben": 2})
    line.bind()
    await network.up()
    fact = inspection("Ben", subject=uuid7().hex)
    await line.broker.publish(fact)
    await eventually(lambda: line.state(fact.id))
    await line.handle_all()
    state = await line.state(fact.id)
    assert (state.status, state.attempts) == ("pending", 1)
    assert await line.inspected(fact.subject) == []

    async def done() -> bool:
        await line.handle_all()
        return await line.is_("done", fact.id)

    await eventually(done)
    assert await line.inspected(fact.subject) == [(None, "Ben")]


@pytest.mark.invariant("S48")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"type": "room.booked.v2", "dataschema": "events/room.booked.v2.json"},
            "room.booked.v2 of hotel is not known",
        ),
        (
            {"dataschema": "events/room.booked.v1-draft.json"},
            "the schema events/room.booked.v1-draft.json is not known",
        ),
    ],
    ids=["type", "schema"],
)
async def test_a_version_that_is_not_known_is_parked_and_applied_by_the_release_that_knows_it(
    own_store: Doors, line: Line, network: Network, changes: dict[str, str], reason: str
) -> None:
    """A queue stays bound to what a release took in that was rolled back since."""
    newer = Subscriptions("hotel")
    newer.keep("room.booked", source="hotel")
    newer.keep("room.booked", source="hotel", version=2)
    line.broker.subscribe(newer, line.inbox.receive, line.inbox.park)
    await network.up()
    fact = booking(**changes)
    await line.broker.publish(fact)
    await eventually(lambda: line.state(fact.id))
    await line.handle_all()
    state = await line.state(fact.id)
    assert (state.status, state.reason) == ("parked", f"UnknownFact: {reason} here")
    if "type" in changes:
        await Parked(own_store).replay()
        await InboxWorker(own_store, newer).handle_due()
        assert await line.is_("done", fact.id)


@pytest.mark.invariant("S51")
async def test_a_slow_consumer_holds_little_for_a_short_time_and_holds_up_no_other(
    line: Line, kitchen: Line, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bound of 5 for 50 and a second for minutes: at their size, a busy machine's database is the slow one."""
    for module, hold in ((deliveries, "HOLD_SECONDS"), (in_process, "CONFIRM_SECONDS")):
        monkeypatch.setattr(module, hold, 1.0)
    for module in (rabbitmq, in_process):
        monkeypatch.setattr(module, "PREFETCH", 5)
    gate = asyncio.Event()
    in_hand, peak, given_back = 0, 0, 0

    async def slowly(envelope: Envelope) -> None:
        nonlocal in_hand, peak, given_back
        in_hand += 1
        peak = max(peak, in_hand)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            given_back += 1
            raise
        finally:
            in_hand -= 1
        await kitchen.inbox.receive(envelope)

    line.bind()
    kitchen.bind(slowly)
    await network.up()
    tenant = uuid7()
    await line.book_many(tenant, 12)
    async with line.running():
        await eventually(lambda: line.stored_are(12))
        await eventually(lambda: given_back, what="a delivery that was held too long")
        assert (await kitchen.stored(), peak) == (0, 5)
        gate.set()
        await eventually(lambda: kitchen.stored_are(12))
        await eventually(line.unsent_none)
    await kitchen.handle_all()
    assert peak == 5
    assert len(set(await kitchen.rooms(tenant))) == len(await kitchen.rooms(tenant)) == 12


@pytest.mark.invariant("S51")
def test_no_delivery_is_held_for_five_minutes() -> None:
    assert timedelta(minutes=5).total_seconds() > deliveries.HOLD_SECONDS
    assert relay.CLAIM.total_seconds() > in_process.CONFIRM_SECONDS


@pytest.mark.invariant("S45")
async def test_after_a_broker_was_away_the_outbox_drains_by_itself(line: Line, network: Network) -> None:
    line.bind()
    await network.up()
    tenant = uuid7()

    async def noticed() -> bool:
        return not line.broker.connected() or await line.attempted(ids[0])

    async with line.running():
        first = await line.book(tenant, "first")
        await eventually(lambda: line.is_("done", first))
        network.pull()
        ids = await line.book_many(tenant, 30)
        await eventually(noticed, what="a connection that is known to be lost, or a try that failed")
        assert await line.stored() == 1
        await network.plug()
        await eventually(lambda: line.stored_are(31))
        await eventually(line.unsent_none)
        await line.handle_all()
        await eventually(lambda: line.has_rooms(tenant, 31))
    assert await line.rooms(tenant) == sorted(["first", *(f"g{n}" for n in range(30))])


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("hotel.published", marks=pytest.mark.invariant("S44")),
        pytest.param("hotel.stored", marks=pytest.mark.invariant("S45")),
        pytest.param("hotel.applied", marks=pytest.mark.invariant("S45")),
    ],
)
async def test_a_process_that_is_killed_between_two_steps_loses_nothing_and_doubles_nothing(
    line: Line, network: Network, own_database: ServiceDatabase, point: str
) -> None:
    line.bind()
    tenant = uuid7()
    ids = await line.book_many(tenant, 3)
    dying = start_process(own_database, network.url, point)
    assert await asyncio.to_thread(dying.wait, 60) == -signal.SIGKILL
    assert await line.rooms(tenant) == []
    if point == "hotel.published":
        assert await line.unsent() == 3
    await network.up()
    async with line.running():
        for event_id in ids:
            await eventually(lambda event_id=event_id: line.is_("done", event_id))
        await eventually(line.unsent_none)
    assert await line.rooms(tenant) == ["g0", "g1", "g2"]


@pytest.mark.invariant("S50")
async def test_a_process_that_is_told_to_stop_finishes_or_hands_back_what_it_has_in_hand(
    line: Line, network: Network, own_database: ServiceDatabase
) -> None:
    line.bind()
    tenant = uuid7()
    await line.book_many(tenant, 120)
    stopping = start_process(own_database, network.url)
    await eventually(lambda: line.rooms(tenant), what="work in progress")
    stopping.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(stopping.wait, 60) == 0
    rooms = await line.rooms(tenant)
    assert 0 < len(rooms) < 120, "told to stop in the middle"
    assert await line.handled() == len(rooms)
    assert await line.claimed() == 0
    await network.up()
    async with line.running():
        await eventually(lambda: line.has_rooms(tenant, 120))
        await eventually(line.unsent_none)
    assert len(set(await line.rooms(tenant))) == 120


async def test_a_work_queue_gives_each_task_to_one_taker_and_one_given_back_to_another(network: Network) -> None:
    broker = network.broker("backup-engine")
    await network.up()
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


async def test_a_taker_at_work_keeps_no_further_task_from_one_who_is_free(network: Network) -> None:
    broker = network.broker("backup-engine")
    await network.up()
    busy, free = broker.tasks("tasks.cloud"), broker.tasks("tasks.cloud")
    await broker.send_task("tasks.cloud", "long")
    await (await anext(busy)).ack()
    for task in ("next", "the one after"):
        await broker.send_task("tasks.cloud", task)
        async with asyncio.timeout(30):
            message = await anext(free)
        assert message.task_id == task
        await message.ack()
    await busy.aclose()
    await free.aclose()


async def test_who_listens_hears_facts_as_they_pass_and_is_told_when_some_may_have_been_missed(
    network: Network,
) -> None:
    heard: dict[str, list[Any]] = {"first": [], "second": []}
    connections: list[str] = []
    replicas = {name: network.broker("gateway") for name in heard}
    for name, replica in replicas.items():
        replica.listen(
            [("hotel", "room.booked.v1")],
            lambda envelope, name=name: heard[name].append(envelope.id),
            lambda name=name: connections.append(name),
        )
    hotel = network.broker("hotel")
    await network.up()
    facts = [booking(f"g{n}") for n in range(5)]
    for fact in facts:
        await hotel.publish(fact)
    ids = [fact.id for fact in facts]
    await eventually(lambda: heard == {"first": ids, "second": ids})
    with pytest.raises(Unroutable):
        await hotel.publish(booking().model_copy(update={"type": "room.left.v1"}))
    if network.kind == "rabbitmq":
        before = len(connections)
        network.cut()
        await eventually(lambda: len(connections) >= before + 2, what="both are told that they may have missed some")
        await network.up()
        later = booking("later")
        await hotel.publish(later)
        await eventually(lambda: all(found[-1] == later.id for found in heard.values()))
