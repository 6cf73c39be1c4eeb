"""Takes facts from the outbox to the broker.

A row is claimed for a moment, published outside of any transaction, then marked. A crash in between sends it
again; the inbox recognises it. NOTIFY wakes the relay, and a slow poll finds what NOTIFY missed.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update

from common.crash_points import reach
from common.messaging.broker import Broker, BrokerUnavailable, Unroutable
from common.messaging.envelope import Envelope
from common.messaging.wakeup import Wakeup
from common.persistence.database import Database
from common.persistence.mechanisms import outbox
from common.persistence.scope import Scope
from common.telemetry.metrics import EVENTS_PUBLISHED, EVENTS_UNPUBLISHED

log = logging.getLogger(__name__)

BATCH = 100
"""Facts published at once; about a quorum queue's knee (4 000 confirms a second at 100 in flight)."""

CLAIM = timedelta(seconds=10)
"""How long a claimed row is left to its relay: longer than a publish takes, short enough to wait for after a crash."""

TOLD = {"event_id": "id", "tenant_id": "tenantid", "correlation_id": "correlationid"}
"""What a log line says of a published fact, and where its envelope has it."""

LONGEST_PAUSE = timedelta(minutes=1)
"""Of a fact that nobody takes or that cannot be read: a release or an operator has to change something first."""

LONGEST_PAUSE_AWAY = timedelta(seconds=5)
"""Of a fact that the broker did not take: as often as a lost connection is tried again."""

KEEP_PUBLISHED = timedelta(days=7)


def pause_after(attempts: int, error: BaseException) -> timedelta:
    """Return how long a fact waits that was tried before so often, and now met this error."""
    longest = LONGEST_PAUSE_AWAY if isinstance(error, BrokerUnavailable) else LONGEST_PAUSE
    pause: timedelta = timedelta(milliseconds=250) * 2 ** min(attempts, 10)
    return min(longest, pause)


class Relay:
    """Part of every worker: publishes the outbox of one service.

    Args:
        database: The service's database; uses its relay role.
        broker: Where to.
    """

    name = "relay"

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker
        self._scope = Scope(role="relay")

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Publish until ``stop``; a batch in hand is finished first."""
        async with Wakeup(self._database, "relay", "outbox") as wakeup:
            ready()
            while not stop.is_set():
                try:
                    moved = await self.publish_batch()
                except Exception:
                    log.exception("outbox not reachable")
                    moved = 0
                if moved < BATCH:
                    await wakeup.wait(stop, timeout_seconds=1.0)

    async def publish_batch(self) -> int:
        """Publish what is due; return how many rows were tried: none while the broker is away."""
        if not self._broker.connected():
            return 0
        rows = await self._claim()
        if not rows:
            return 0
        reach("common.outbox.claimed")
        results = await asyncio.gather(*(self._publish(row) for row in rows), return_exceptions=True)
        reach("common.outbox.published")
        await self._settle(rows, results)
        reach("common.outbox.marked")
        return len(rows)

    async def _claim(self) -> list[Any]:
        async with self._database.session("relay", self._scope) as session:
            now = func.clock_timestamp()
            due = (
                select(outbox.c.position)
                .where(
                    outbox.c.published_at.is_(None),
                    or_(outbox.c.next_attempt_at.is_(None), outbox.c.next_attempt_at <= now),
                )
                .order_by(outbox.c.position)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
            claimed = (
                update(outbox)
                .where(outbox.c.position.in_(due.scalar_subquery()))
                .values(next_attempt_at=now + CLAIM)
                .returning(outbox.c.position, outbox.c.envelope, outbox.c.type, outbox.c.attempts)
            )
            return sorted((await session.execute(claimed)).all(), key=lambda row: row.position)

    async def _publish(self, row: Any) -> None:
        await self._broker.publish(Envelope.model_validate(row.envelope))

    async def _settle(self, rows: list[Any], results: list[Any]) -> None:
        sent = [row.position for row, result in zip(rows, results, strict=True) if result is None]
        service = self._database.prefix
        async with self._database.session("relay", self._scope) as session:
            if sent:
                await session.execute(
                    update(outbox).where(outbox.c.position.in_(sent)).values(published_at=func.clock_timestamp())
                )
            for row, result in zip(rows, results, strict=True):
                if result is None:
                    EVENTS_PUBLISHED.labels(service, row.type).inc()
                    told = {name: row.envelope.get(key) for name, key in TOLD.items()}
                    log.info("fact published", extra={"event_type": row.type, **told})
                    continue
                reason = "unroutable" if isinstance(result, Unroutable) else type(result).__name__
                EVENTS_UNPUBLISHED.labels(service, reason).inc()
                log.warning("fact %s stays in the outbox: %s", row.type, reason)
                await session.execute(
                    update(outbox)
                    .where(outbox.c.position == row.position)
                    .values(
                        attempts=outbox.c.attempts + 1,
                        next_attempt_at=func.clock_timestamp() + pause_after(row.attempts, result),
                        last_error=f"{reason}: {result}"[:500],
                    )
                )

    async def forget_published(self) -> int:
        """Delete rows published longer ago than ``KEEP_PUBLISHED``; return how many."""
        async with self._database.session("relay", self._scope) as session:
            gone = await session.execute(
                delete(outbox).where(outbox.c.published_at < func.clock_timestamp() - KEEP_PUBLISHED)
            )
            return int(gone.rowcount)  # type: ignore[attr-defined]
