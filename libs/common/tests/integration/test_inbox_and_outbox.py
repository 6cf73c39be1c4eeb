"""Facts between commit and broker, and between inbox and effect: what no broker has a part in."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from common.idempotency import forget_keys
from common.ids import uuid7
from common.messaging import BrokerUnavailable, Envelope, Unroutable, inbox, relay
from common.messaging.in_process import InProcessBroker
from common.messaging.relay import Relay
from common.persistence import MailMessage
from common.persistence.mechanisms import idempotency_keys, mails
from hotel.line import Doors, Line, booking
from hotel.service import RoomBooked
from sqlalchemy import func, insert, select


@pytest.fixture
def line(own_store: Doors) -> Line:
    line = Line(own_store, InProcessBroker())
    line.bind()
    return line


@pytest.mark.invariant("S44")
async def test_a_rolled_back_act_leaves_no_fact_and_a_committed_one_leaves_it(line: Line) -> None:
    tenant = uuid7()
    with pytest.raises(ZeroDivisionError):
        async with line.store.for_tenant(tenant) as uow:
            await uow.publish(RoomBooked(guest="gone"), subject="1")
            raise ZeroDivisionError
    await line.book(tenant, "kept")
    assert await line.unsent() == 1


@pytest.mark.invariant("S45")
@pytest.mark.invariant("S52")
async def test_a_fact_in_the_hands_of_several_workers_is_applied_once_for_its_own_tenant(line: Line) -> None:
    fact, other = booking(), uuid7()
    assert fact.tenantid is not None
    await asyncio.gather(*(line.inbox.receive(fact) for _ in range(10)))
    await asyncio.gather(*(line.inbox.handle_due() for _ in range(5)))
    await line.inbox.receive(fact)
    await line.handle_all()
    assert await line.rooms(fact.tenantid) == ["guest"]
    assert await line.rooms(other) == []


async def test_a_fact_before_its_predecessor_waits_and_is_applied_later(own_store: Doors, impatient: None) -> None:
    line, fact = Line(own_store, InProcessBroker(), failures={"early": 7}), booking("early")
    assert fact.tenantid is not None
    await line.inbox.receive(fact)
    while not await line.is_("done", fact.id):
        await line.inbox.handle_due()
    assert (await line.state(fact.id)).attempts == 8
    assert await line.rooms(fact.tenantid) == ["early"]


@pytest.mark.invariant("S49")
async def test_an_envelope_carries_its_names(line: Line) -> None:
    tenant = uuid7()
    event_id = await line.book(tenant)
    sent = (await line.sent(event_id)).envelope
    assert sent.keys() == Envelope.model_fields.keys()
    assert {k: sent[k] for k in ("id", "source", "type", "tenantid", "aggregateversion", "dataschema")} == {
        "id": str(event_id),
        "source": "hotel",
        "type": "room.booked.v1",
        "tenantid": str(tenant),
        "aggregateversion": 1,
        "dataschema": "events/room.booked.v1.json",
    }


async def test_two_relays_publish_each_fact_and_the_inbox_applies_it_once(line: Line) -> None:
    tenant = uuid7()
    await line.book_many(tenant, 30)
    second = Relay(line.store.database, line.broker)
    await asyncio.gather(line.relay.publish_batch(), second.publish_batch(), line.relay.publish_batch())
    await line.handle_all()
    assert len(await line.rooms(tenant)) == 30
    assert await line.unsent() == 0


async def test_a_mail_with_a_known_key_is_dropped(line: Line) -> None:
    tenant, other = uuid7(), uuid7()
    message = MailMessage(to="a@hotel.example", subject="s", text="t", html=None, key="welcome")
    for who in (tenant, tenant, other):
        async with line.store.for_tenant(who) as uow:
            await uow.send_mail(message)
    async with line.store.for_system("mailer") as uow:
        counted = select(mails.c.tenant_id, func.count()).group_by(mails.c.tenant_id)
        assert dict((await uow.session.execute(counted)).all()) == {tenant: 1, other: 1}


@pytest.mark.parametrize(
    ("pause", "longest"),
    [
        (inbox.pause_after, timedelta(minutes=5)),
        (lambda tries: relay.pause_after(tries, Unroutable()), timedelta(minutes=1)),
        # It comes back without anybody's doing, and then nothing shall wait for long.
        (lambda tries: relay.pause_after(tries, BrokerUnavailable()), timedelta(seconds=5)),
    ],
    ids=["handling", "nobody takes it", "broker away"],
)
def test_pauses_grow_and_are_bounded(pause: Callable[[int], timedelta], longest: timedelta) -> None:
    pauses = [pause(tries) for tries in range(1, 40)]
    assert pauses[0] < pauses[1] <= pauses[2]
    assert pauses == sorted(pauses)
    assert pauses[-1] == longest


async def test_answers_to_idempotency_keys_are_forgotten_when_nobody_is_owed_them_any_more(own_store: Doors) -> None:
    mine, others = uuid7(), uuid7()
    now = datetime.now(UTC)
    for tenant in (mine, others):
        async with own_store.for_tenant(tenant) as uow:
            for key, age in (("old", timedelta(hours=49)), ("young", timedelta(hours=47))):
                row = {
                    "scope_id": tenant,
                    "route": "POST /rooms/",
                    "key": key,
                    "body_hash": "0",
                    "created_at": now - age,
                }
                await uow.session.execute(insert(idempotency_keys).values(row))
    assert await forget_keys(own_store) == 2
    for tenant in (mine, others):
        async with own_store.for_tenant(tenant) as uow:
            assert list(await uow.session.scalars(select(idempotency_keys.c.key))) == ["young"]
