"""Facts from commit to effect: the outbox, the relay, the inbox."""

import asyncio
from datetime import timedelta

import pytest
from common.ids import uuid7
from common.messaging.in_process import InProcessBroker
from common.messaging.inbox import BUG_TRIES, InboxWorker
from common.messaging.relay import Relay
from common.persistence import MailMessage, Store
from common.persistence.mechanisms import inbox, mails, outbox
from common.persistence.scope import Scope
from hotel.persistence.tables import rooms
from hotel.service import RoomBooked, UnitOfWork, subscriptions
from sqlalchemy import func, select, update

Doors = Store[UnitOfWork]


class Pipe:
    """Outbox, relay, in-process broker and inbox of one hotel."""

    def __init__(self, store: Doors, behaviour: dict[str, int] | None = None) -> None:
        self.store = store
        self.broker = InProcessBroker()
        self.worker = InboxWorker(store, subscriptions(behaviour))
        self.broker.subscribe(self.worker._subscriptions, self.worker.receive)
        self.relay = Relay(store.database, self.broker)

    async def book(self, tenant, guest: str):
        async with self.store.for_tenant(tenant) as uow:
            return await uow.publish(RoomBooked(guest=guest), subject=guest)

    async def state(self, event_id):
        async with self.store.for_system("inbox") as uow:
            return (await uow.session.execute(select(inbox).where(inbox.c.event_id == event_id))).one_or_none()

    async def make_due(self, event_id) -> None:
        async with self.store.for_system("inbox") as uow:
            await uow.session.execute(
                update(inbox).where(inbox.c.event_id == event_id).values(next_attempt_at=func.clock_timestamp())
            )

    async def rooms(self, tenant) -> int:
        async with self.store.for_tenant(tenant) as uow:
            return await uow.session.scalar(select(func.count()).select_from(rooms))


@pytest.mark.invariant("S44")
async def test_a_rolled_back_act_leaves_no_fact_and_a_committed_one_leaves_it(store: Doors) -> None:
    pipe, tenant = Pipe(store), uuid7()
    with pytest.raises(ZeroDivisionError):
        async with store.for_tenant(tenant) as uow:
            await uow.publish(RoomBooked(guest="gone"), subject="1")
            raise ZeroDivisionError
    event_id = await pipe.book(tenant, "kept")
    async with store.database.session("relay", Scope(role="relay")) as session:
        found = (await session.scalars(select(outbox.c.id).where(outbox.c.tenant_id == tenant))).all()
    assert found == [event_id]


@pytest.mark.invariant("S45")
@pytest.mark.invariant("S52")
async def test_a_fact_delivered_many_times_is_applied_once_for_its_own_tenant(store: Doors) -> None:
    pipe, tenant, other = Pipe(store), uuid7(), uuid7()
    event_id = await pipe.book(tenant, "guest")
    await pipe.relay.publish_batch()
    state = await pipe.state(event_id)
    from common.messaging.envelope import Envelope

    envelope = Envelope.model_validate(state.envelope)
    await asyncio.gather(*(pipe.worker.receive(envelope) for _ in range(10)))
    await asyncio.gather(*(pipe.worker.handle_due() for _ in range(5)))
    await pipe.worker.receive(envelope)
    await pipe.worker.handle_due()
    assert await pipe.rooms(tenant) == 1
    assert await pipe.rooms(other) == 0
    assert (await pipe.state(event_id)).status == "done"


@pytest.mark.invariant("S47")
async def test_a_fact_that_nobody_takes_stays_in_the_outbox_with_the_reason(store: Doors) -> None:
    tenant = uuid7()
    async with store.for_tenant(tenant) as uow:
        event_id = await uow.publish(RoomBooked(guest="x"), subject="1")
    lonely = Relay(store.database, InProcessBroker())
    await lonely.publish_batch()
    async with store.database.session("relay", Scope(role="relay")) as session:
        row = (await session.execute(select(outbox).where(outbox.c.id == event_id))).one()
        await session.execute(outbox.delete().where(outbox.c.id == event_id))
    assert row.published_at is None
    assert row.attempts == 1
    assert row.last_error.startswith("unroutable")


@pytest.mark.invariant("S48")
async def test_a_refused_fact_is_parked_with_its_reason_and_can_be_replayed(store: Doors) -> None:
    pipe, tenant = Pipe(store), uuid7()
    event_id = await pipe.book(tenant, "poison")
    await pipe.relay.publish_batch()
    await pipe.worker.handle_due()
    state = await pipe.state(event_id)
    assert (state.status, state.reason) == ("parked", "NoVacancy: No vacancy.")
    assert await pipe.rooms(tenant) == 0
    assert await pipe.worker.replay(event_id)
    assert (await pipe.state(event_id)).status == "pending"
    assert not await pipe.worker.replay(uuid7())


@pytest.mark.invariant("S48")
async def test_a_bug_in_a_handler_is_tried_a_few_times_then_parked_and_leaves_nothing_behind(store: Doors) -> None:
    pipe, tenant = Pipe(store, {"buggy": 99}), uuid7()
    event_id = await pipe.book(tenant, "buggy")
    await pipe.relay.publish_batch()
    for attempt in range(1, BUG_TRIES + 1):
        assert (await pipe.state(event_id)).status == "pending"
        await pipe.make_due(event_id)
        await pipe.worker.handle_due()
        assert (await pipe.state(event_id)).attempts == attempt
    state = await pipe.state(event_id)
    assert state.status == "parked"
    assert "ZeroDivisionError" in state.reason
    assert await pipe.rooms(tenant) == 0


async def test_a_fact_before_its_predecessor_waits_and_is_applied_later(store: Doors) -> None:
    pipe, tenant = Pipe(store, {"early": 7}), uuid7()
    event_id = await pipe.book(tenant, "early")
    await pipe.relay.publish_batch()
    for _ in range(8):
        await pipe.make_due(event_id)
        await pipe.worker.handle_due()
    assert (await pipe.state(event_id)).status == "done"
    assert await pipe.rooms(tenant) == 1


@pytest.mark.invariant("S49")
async def test_an_envelope_carries_its_names_and_a_reader_accepts_unknown_fields(store: Doors) -> None:
    pipe, tenant = Pipe(store), uuid7()
    event_id = await pipe.book(tenant, "guest")
    async with store.database.session("relay", Scope(role="relay")) as session:
        sent = await session.scalar(select(outbox.c.envelope).where(outbox.c.id == event_id))
    assert {k: sent[k] for k in ("id", "source", "type", "tenantid", "aggregateversion", "dataschema")} == {
        "id": str(event_id),
        "source": "hotel",
        "type": "room.booked.v1",
        "tenantid": str(tenant),
        "aggregateversion": 1,
        "dataschema": "events/room.booked.v1.json",
    }
    assert {"subject", "time", "correlationid", "causationid", "traceparent", "region"} <= sent.keys()
    from common.messaging.envelope import Envelope

    richer = Envelope.model_validate(sent | {"extension": "x", "data": {"guest": "guest", "breakfast": True}})
    await pipe.worker.receive(richer)
    await pipe.worker.handle_due()
    assert await pipe.rooms(tenant) == 1


async def test_two_relays_publish_each_fact_and_the_inbox_applies_it_once(store: Doors) -> None:
    pipe, tenant = Pipe(store), uuid7()
    for number in range(30):
        await pipe.book(tenant, f"guest-{number}")
    second = Relay(store.database, pipe.broker)
    await asyncio.gather(pipe.relay.publish_batch(), second.publish_batch(), pipe.relay.publish_batch())
    while await pipe.worker.handle_due():
        pass
    assert await pipe.rooms(tenant) == 30


async def test_a_mail_with_a_known_key_is_dropped(store: Doors) -> None:
    tenant, other = uuid7(), uuid7()
    message = MailMessage(to="a@hotel.example", subject="s", text="t", html=None, key="welcome")
    for who in (tenant, tenant, other):
        async with store.for_tenant(who) as uow:
            await uow.send_mail(message)
    async with store.for_system("mailer") as uow:
        counted = dict(
            (await uow.session.execute(select(mails.c.tenant_id, func.count()).group_by(mails.c.tenant_id))).all()
        )
    assert (counted[tenant], counted[other]) == (1, 1)


def test_pauses_grow_and_are_bounded() -> None:
    from common.messaging.inbox import pause_after

    pauses = [pause_after(n) for n in range(1, 40)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(minutes=5)
