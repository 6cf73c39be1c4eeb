"""The hotel's unit of work, fact and subscription."""

from typing import ClassVar, Self

from common.errors import Conflict, NotYet
from common.ids import uuid7
from common.messaging.envelope import Envelope
from common.messaging.fact import Fact
from common.messaging.subscriptions import Subscriptions
from common.persistence import Transaction
from pydantic import BaseModel
from sqlalchemy import insert

from hotel.persistence.tables import rooms

SYSTEM_ROLES = ("porter",)


class RoomBooked(Fact):
    """A room was booked."""

    name: ClassVar[str] = "room.booked"
    guest: str

    @classmethod
    def example(cls) -> Self:
        return cls(guest="one")


class UnitOfWork(Transaction):
    source = "hotel"


class Booked(BaseModel):
    guest: str


class NoVacancy(Conflict):
    code = "no_vacancy"
    en = "No vacancy."
    fr = "Complet."


def subscriptions(behaviour: dict[str, int] | None = None) -> Subscriptions:
    """Return subscriptions whose handler adds a room per booking; some guests make it fail."""
    found = Subscriptions("hotel")
    left = behaviour if behaviour is not None else {}

    @found.on("room.booked", source="hotel")
    async def add_room(event: Booked, uow: UnitOfWork, envelope: Envelope) -> None:
        await uow.session.execute(
            insert(rooms).values(tenant_id=envelope.tenantid, id=uuid7(), name=event.guest, beds=2)
        )
        if left.get(event.guest, 0) > 0:
            left[event.guest] -= 1
            if event.guest == "early":
                raise NotYet
            raise ZeroDivisionError("a bug")
        if event.guest == "poison":
            raise NoVacancy

    return found
