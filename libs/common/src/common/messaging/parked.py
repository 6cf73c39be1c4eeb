"""What an operator sees and does about facts that were put aside, in one service's inbox.

The rows carry their reason. Replaying makes a fact pending again; the worker wakes by itself. Dropping is for what
will never be right: it needs a reason, is audited in the same transaction, and leaves the row for as long as others.
"""

from base64 import b64decode
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update

from common.errors import NotFound
from common.messaging.envelope import Envelope
from common.messaging.inbox import REFUSED, store_fact
from common.messaging.refusal import Delivery, Refused
from common.persistence.mechanisms import inbox
from common.persistence.store import Store


class NotParked(NotFound):
    code = "not_parked"
    en = "No parked fact has the id {event_id}."
    fr = "Aucun fait mis de côté ne porte l'identifiant {event_id}."


@dataclass(frozen=True, slots=True)
class ParkedFact:
    """One row. ``age`` counts from its arrival, ``attempts`` are those since it arrived or was replayed."""

    event_id: UUID
    tenant_id: UUID | None
    type: str
    source: str
    age: timedelta
    attempts: int
    reason: str


class Parked:
    """The parked facts of every consumer of one service.

    Args:
        store: The service's doors.
    """

    def __init__(self, store: Store[Any]) -> None:
        self._store = store

    async def all(self) -> list[ParkedFact]:
        """Return every parked fact, the oldest first."""
        age = (func.clock_timestamp() - inbox.c.received_at).label("age")
        columns = (inbox.c.event_id, inbox.c.tenant_id, inbox.c.type, inbox.c.source, age, inbox.c.attempts)
        query = select(*columns, inbox.c.reason).where(inbox.c.status == "parked").order_by(inbox.c.received_at)
        async with self._store.for_system("inbox") as uow:
            return [ParkedFact(*row) for row in await uow.session.execute(query)]

    async def replay(self, event_id: UUID | None = None) -> tuple[int, int]:
        """Make one parked fact, or all, pending again; return how many, and how many are still refused.

        A refused delivery is judged anew, by the code of today; it stays parked while it is no event or forged.

        Raises:
            NotParked: There is none with this id.
        """
        replayed = refused = 0
        for row in await self._rows(event_id):
            if row.type != REFUSED:
                await self._set(row, status="pending", attempts=0, next_attempt_at=func.clock_timestamp())
                replayed += 1
            elif await self._judged_anew(row):
                replayed += 1
            else:
                refused += 1
        return replayed, refused

    async def drop(self, event_id: UUID, *, by: str, reason: str) -> None:
        """Put a parked fact away for good.

        Args:
            event_id: Which.
            by: Who says so.
            reason: Why.

        Raises:
            NotParked: There is none with this id.
        """
        for row in await self._rows(event_id):
            async with self._store.for_system("inbox") as uow:
                dropped = update(inbox).where(*_same(row)).values(status="dropped", handled_at=func.clock_timestamp())
                if await uow.count_changed(dropped):
                    details = {"type": row.type, "source": row.source, "parked_for": row.reason}
                    await uow.audit(
                        "fact.dropped", str(event_id), actor=by, reason=reason, details=details, tenant_id=row.tenant_id
                    )

    async def _rows(self, event_id: UUID | None) -> list[Any]:
        query = select(inbox).where(inbox.c.status == "parked")
        if event_id is not None:
            query = query.where(inbox.c.event_id == event_id)
        async with self._store.for_system("inbox") as uow:
            rows = list((await uow.session.execute(query)).all())
        if event_id is not None and not rows:
            raise NotParked(event_id=event_id)
        return rows

    async def _set(self, row: Any, **values: Any) -> None:
        async with self._store.for_system("inbox") as uow:
            await uow.session.execute(update(inbox).where(*_same(row)).values(**values))

    async def _judged_anew(self, row: Any) -> bool:
        kept = row.envelope
        try:
            envelope: Envelope = Delivery(b64decode(kept["body"]), kept["publisher"], kept["exchange"]).envelope()
        except Refused:
            return False
        async with self._store.for_system("inbox") as uow:
            await store_fact(uow, row.consumer, envelope)
            await uow.session.execute(
                update(inbox).where(*_same(row)).values(status="done", handled_at=func.clock_timestamp())
            )
        return True


def _same(row: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        inbox.c.consumer == row.consumer,
        inbox.c.source == row.source,
        inbox.c.event_id == row.event_id,
        inbox.c.status == "parked",
    )
