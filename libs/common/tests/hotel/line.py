"""The hotel's events from commit to effect, over a broker of either kind, with the parts that a worker runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from common.ids import uuid7
from common.messaging import Broker, Envelope
from common.messaging.inbox import InboxWorker
from common.messaging.relay import Relay
from common.parts import Part
from common.persistence import Store
from common.persistence.mechanisms import audit_log, inbox, outbox
from common.persistence.scope import Scope
from sqlalchemy import func, select

from hotel.persistence.tables import rooms
from hotel.service import RoomBooked, UnitOfWork, subscriptions

Doors = Store[UnitOfWork]


def booking(guest: str = "guest", *, tenant: UUID | None = None, **changes: Any) -> Envelope:
    """Return the envelope of a booking by the hotel."""
    told = {
        "id": uuid7(),
        "source": "hotel",
        "type": "room.booked.v1",
        "time": datetime.now(UTC),
        "subject": "1",
        "tenantid": tenant or uuid7(),
        "dataschema": "events/room.booked.v1.json",
        "aggregateversion": 1,
        "data": {"guest": guest},
    }
    return Envelope(**(told | changes))


def inspection(by: str = "Ana", *, tenant: UUID | None = None, **changes: Any) -> Envelope:
    """Return the envelope of an inspection, which names nobody's organization unless said."""
    told = {"type": "hotel.inspected.v1", "dataschema": "events/hotel.inspected.v1.json", "data": {"by": by}}
    return booking(**(told | changes)).model_copy(update={"tenantid": tenant})


class Line:
    """Outbox and relay of the hotel, a broker, and the inbox of one consumer (in the same database).

    Args:
        store: The hotel's doors.
        broker: Carries the facts.
        consumer: Whose inbox.
        failures: See `subscriptions`.
    """

    def __init__(
        self, store: Doors, broker: Broker, consumer: str = "hotel", failures: dict[str, int] | None = None
    ) -> None:
        self.store = store
        self.broker = broker
        self.subscriptions = subscriptions(consumer, failures)
        self.inbox = InboxWorker(store, self.subscriptions)
        self.relay = Relay(store.database, broker)
        self.consumer = consumer

    def bind(self, receive: Any = None) -> None:
        self.broker.subscribe(self.subscriptions, receive or self.inbox.receive, self.inbox.park)

    @asynccontextmanager
    async def running(self, *others: Part) -> AsyncIterator[None]:
        """Run relay and inbox as a worker does, and other parts beside them."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for part in (self.relay, self.inbox, *others):
                group.create_task(part.run(stop, lambda: None))
            try:
                yield
            finally:
                stop.set()

    async def book(self, tenant: UUID, guest: str = "guest") -> UUID:
        async with self.store.for_tenant(tenant) as uow:
            return await uow.publish(RoomBooked(guest=guest), subject=guest)

    async def book_many(self, tenant: UUID, count: int) -> list[UUID]:
        async with self.store.for_tenant(tenant) as uow:
            return [await uow.publish(RoomBooked(guest=f"g{n}"), subject=f"{n}") for n in range(count)]

    async def handle_all(self) -> None:
        while await self.inbox.handle_due():
            pass

    async def state(self, event_id: UUID) -> Any:
        async with self.store.for_system("inbox") as uow:
            mine = select(inbox).where(inbox.c.event_id == event_id, inbox.c.consumer == self.consumer)
            return (await uow.session.execute(mine)).one_or_none()

    async def is_(self, status: str, event_id: UUID) -> bool:
        state = await self.state(event_id)
        return state is not None and state.status == status

    async def stored(self) -> int:
        async with self.store.for_system("inbox") as uow:
            mine = select(func.count()).where(inbox.c.consumer == self.consumer)
            return int(await uow.session.scalar(mine) or 0)

    async def sent(self, event_id: UUID) -> Any:
        async with self.store.database.session("relay", Scope(role="relay")) as session:
            return (await session.execute(select(outbox).where(outbox.c.id == event_id))).one()

    async def stored_are(self, count: int) -> bool:
        return await self.stored() == count

    async def handled(self) -> int:
        async with self.store.for_system("inbox") as uow:
            return int(await uow.session.scalar(select(func.count()).where(inbox.c.status == "done")) or 0)

    async def attempted(self, event_id: UUID) -> bool:
        return bool((await self.sent(event_id)).attempts)

    async def unsent_none(self) -> bool:
        return await self.unsent() == 0

    async def claimed(self) -> int:
        """Return how many rows a relay took without saying what became of them."""
        async with self.store.database.session("relay", Scope(role="relay")) as session:
            first_try = (outbox.c.published_at.is_(None), outbox.c.attempts == 0, outbox.c.next_attempt_at.is_not(None))
            return int(await session.scalar(select(func.count()).where(*first_try)) or 0)

    async def unsent(self) -> int:
        async with self.store.database.session("relay", Scope(role="relay")) as session:
            waiting = select(func.count()).where(outbox.c.published_at.is_(None))
            return int(await session.scalar(waiting) or 0)

    async def rooms(self, tenant: UUID) -> list[str]:
        """Return the rooms that this consumer's handler added."""
        async with self.store.for_tenant(tenant) as uow:
            names = await uow.session.scalars(select(rooms.c.name).order_by(rooms.c.name))
            return [name.partition("/")[2] for name in names if name.startswith(f"{self.consumer}/")]

    async def inspected(self, subject: str) -> list[tuple[UUID | None, str]]:
        """Return for whom and by whom this consumer's handler noted an inspection."""
        async with self.store.for_system("audit") as uow:
            noted = select(audit_log.c.tenant_id, audit_log.c.actor).where(audit_log.c.target == subject)
            mine = noted.where(audit_log.c.actor.startswith(f"{self.consumer}/")).order_by(audit_log.c.id)
            return [(row.tenant_id, row.actor.partition("/")[2]) for row in await uow.session.execute(mine)]

    async def has_rooms(self, tenant: UUID, count: int) -> bool:
        return len(await self.rooms(tenant)) == count

    async def beds(self, tenant: UUID, room: UUID) -> int | None:
        async with self.store.for_tenant(tenant) as uow:
            return await uow.session.scalar(select(rooms.c.beds).where(rooms.c.id == room))
