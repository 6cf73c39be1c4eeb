"""The hotel's unit of work, facts and subscriptions."""

from typing import ClassVar, Self
from uuid import UUID

from common.crash_points import reach
from common.errors import Conflict, NotYet
from common.ids import uuid7
from common.messaging.envelope import Envelope
from common.messaging.fact import Fact
from common.messaging.subscriptions import Subscriptions
from common.persistence import Transaction
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert

from hotel.persistence.tables import rooms

SYSTEM_ROLES = ("porter",)


class RoomBooked(Fact):
    """A room was booked."""

    name: ClassVar[str] = "room.booked"
    guest: str

    @classmethod
    def example(cls) -> Self:
        return cls(guest="one")


class RoomFurnished(Fact):
    """How many beds a room has now: a state."""

    name: ClassVar[str] = "room.furnished"
    is_state: ClassVar[bool] = True
    beds: int


class UnitOfWork(Transaction):
    source = "hotel"


class Booked(BaseModel):
    guest: str


class Furnished(BaseModel):
    beds: int


class Inspected(BaseModel):
    by: str


class NoVacancy(Conflict):
    code = "no_vacancy"
    en = "No vacancy."
    fr = "Complet."


def subscriptions(consumer: str = "hotel", failures: dict[str, int] | None = None) -> Subscriptions:
    """Return subscriptions whose handler adds a room per booking, and notes who inspected the house, for whomever.

    Args:
        consumer: Whose inbox; its rooms are named ``consumer/guest``.
        failures: How many times a guest makes the handler fail: ``early`` comes too early, ``poison`` is refused,
            any other meets a bug.
    """
    found = Subscriptions(consumer)
    left = {} if failures is None else failures

    @found.on("room.booked", source="hotel")
    async def add_room(event: Booked, uow: UnitOfWork, envelope: Envelope) -> None:
        room = {"tenant_id": envelope.tenantid, "id": uuid7(), "name": f"{consumer}/{event.guest}", "beds": 2}
        await uow.session.execute(insert(rooms).values(room))
        reach("hotel.applied")
        if left.get(event.guest, 0) > 0:
            left[event.guest] -= 1
            raise {"early": NotYet, "poison": NoVacancy}.get(event.guest, ZeroDivisionError)

    @found.on("room.furnished", source="hotel")
    async def furnish(event: Furnished, uow: UnitOfWork, envelope: Envelope) -> None:
        room = {"tenant_id": envelope.tenantid, "id": UUID(envelope.subject), "name": "furnished", "beds": event.beds}
        new = insert(rooms).values(room | {"version": envelope.aggregateversion})
        newer = {"beds": new.excluded.beds, "version": new.excluded.version}
        await uow.session.execute(
            new.on_conflict_do_update(
                index_elements=["tenant_id", "id"], set_=newer, where=rooms.c.version < new.excluded.version
            )
        )

    @found.on("hotel.inspected", source="hotel", of_nobody=True)
    async def note_inspection(event: Inspected, uow: UnitOfWork, envelope: Envelope) -> None:
        await uow.audit("hotel.inspected", envelope.subject, actor=f"{consumer}/{event.by}")
        if left.get(event.by, 0) > 0:
            left[event.by] -= 1
            raise ZeroDivisionError

    return found
