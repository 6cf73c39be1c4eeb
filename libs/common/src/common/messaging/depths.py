"""How much waits, as gauges: what an operator watches, and what tells of a broker or consumer that is away."""

from typing import Any

from sqlalchemy import func, select

from common.persistence.mechanisms import inbox, outbox
from common.persistence.scope import Scope
from common.persistence.store import Store
from common.telemetry.metrics import INBOX_OLDEST, INBOX_WAITING, OUTBOX_OLDEST, OUTBOX_WAITING, PARKED


class Depths:
    """The depths of one service's outbox and inbox, as its last look found them.

    Args:
        store: The service's doors.
    """

    def __init__(self, store: Store[Any]) -> None:
        self._store = store
        self._service = store.database.prefix

    async def look(self) -> None:
        """Set the gauges; any number of workers tell the same."""
        now = func.clock_timestamp()
        unpublished = select(func.count(), func.extract("epoch", now - func.min(outbox.c.created_at)))
        pending = select(func.count(), func.extract("epoch", now - func.min(inbox.c.received_at)))
        parked = select(func.count()).where(inbox.c.status == "parked")
        database = self._store.database
        async with database.session("relay", Scope(role="relay")) as session:
            waiting, oldest = (await session.execute(unpublished.where(outbox.c.published_at.is_(None)))).one()
        OUTBOX_WAITING.labels(self._service).set(waiting)
        OUTBOX_OLDEST.labels(self._service).set(oldest or 0)
        async with self._store.for_system("inbox") as uow:
            waiting, oldest = (await uow.session.execute(pending.where(inbox.c.status == "pending"))).one()
            aside = await uow.session.scalar(parked)
        INBOX_WAITING.labels(self._service).set(waiting)
        INBOX_OLDEST.labels(self._service).set(oldest or 0)
        PARKED.labels(self._service).set(aside)
