"""Facts of others: stored, then acknowledged, then handled in one transaction each.

The handler's work and the row's ``done`` are one commit, so a fact is applied exactly once however often it
arrives. Retries, pauses, parking and replay are states of the row; the same code serves both brokers.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from common.errors import DomainError, Unavailable
from common.messaging.envelope import Envelope, handling
from common.messaging.subscriptions import Subscription, Subscriptions
from common.messaging.wakeup import Wakeup
from common.persistence.mechanisms import inbox
from common.persistence.store import Store
from common.telemetry.context import span
from common.telemetry.metrics import EVENTS_HANDLED

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Facts handled at once: as many as the tenants' door has connections."""

BUG_TRIES = 5
"""How often a handler that raises something unforeseen is tried before the fact is parked."""

PATIENCE = timedelta(hours=24)
"""How long a fact waits for its predecessor, or for something unavailable, before it is parked."""

KEEP = timedelta(days=30)


def pause_after(attempts: int) -> timedelta:
    """Return the pause after the n-th failed try: 0.2 s, doubling, at most 5 minutes."""
    return min(timedelta(minutes=5), timedelta(seconds=0.2) * float(1 << min(attempts, 12)))


class InboxWorker:
    """Part of every worker that takes facts in.

    Args:
        store: The service's doors.
        subscriptions: What is taken in, and the handlers.
    """

    name = "inbox"

    def __init__(self, store: Store[Any], subscriptions: Subscriptions) -> None:
        self._store = store
        self._database = store.database
        self._subscriptions = subscriptions

    async def receive(self, envelope: Envelope) -> None:
        """Store a delivery; a second one of the same event changes nothing. Returns after the commit."""
        async with self._store.for_system("inbox") as uow:
            await uow.session.execute(
                insert(inbox)
                .values(
                    consumer=self._subscriptions.consumer,
                    event_id=envelope.id,
                    tenant_id=envelope.tenantid,
                    type=envelope.type,
                    source=envelope.source,
                    envelope=envelope.model_dump(mode="json"),
                    received_at=func.clock_timestamp(),
                    next_attempt_at=func.clock_timestamp(),
                )
                .on_conflict_do_nothing()
            )

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Handle facts until ``stop``; those in hand are finished first."""
        async with Wakeup(self._database, "inbox", "inbox") as wakeup:
            ready()
            while not stop.is_set():
                try:
                    handled = await self.handle_due()
                except Exception:
                    log.exception("inbox not reachable")
                    handled = 0
                if not handled:
                    await wakeup.wait(stop, timeout_seconds=0.5)

    async def handle_due(self) -> int:
        """Handle what is due now; return how many facts were tried."""
        due = await self._due()
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(event_id: UUID, tenant_id: UUID | None) -> None:
            async with gate:
                await self._try(event_id, tenant_id)

        async with asyncio.TaskGroup() as group:
            for event_id, tenant_id in due:
                group.create_task(one(event_id, tenant_id))
        return len(due)

    async def _due(self) -> list[tuple[UUID, UUID | None]]:
        async with self._store.for_system("inbox") as uow:
            rows = await uow.session.execute(
                select(inbox.c.event_id, inbox.c.tenant_id)
                .where(
                    inbox.c.consumer == self._subscriptions.consumer,
                    inbox.c.status == "pending",
                    inbox.c.next_attempt_at <= func.clock_timestamp(),
                )
                .order_by(inbox.c.next_attempt_at)
                .limit(50)
            )
            return [(row.event_id, row.tenant_id) for row in rows]

    async def _try(self, event_id: UUID, tenant_id: UUID | None) -> None:
        try:
            if tenant_id is None:
                await self._fail(event_id, "the fact names no tenant", park=True)
            else:
                await self._handle(event_id, tenant_id)
        except (DataError, IntegrityError, ProgrammingError) as error:
            log.exception("handler's statement refused")
            await self._fail(event_id, f"{type(error).__name__}: {error}", tries=BUG_TRIES)
        except (Unavailable, DBAPIError, OSError) as error:
            await self._fail(event_id, f"{type(error).__name__}: {error}", patience=PATIENCE)
        except (DomainError, ValidationError) as error:
            await self._fail(event_id, f"{type(error).__name__}: {error}", park=True)
        except Exception as error:
            log.exception("handler failed")
            await self._fail(event_id, f"{type(error).__name__}: {error}", tries=BUG_TRIES)

    async def _handle(self, event_id: UUID, tenant_id: UUID) -> None:
        consumer = self._subscriptions.consumer
        async with self._store.for_tenant(tenant_id) as uow:
            row = (
                await uow.session.execute(
                    select(inbox.c.envelope)
                    .where(inbox.c.consumer == consumer, inbox.c.event_id == event_id, inbox.c.status == "pending")
                    .with_for_update(skip_locked=True)
                )
            ).one_or_none()
            if row is None:
                return
            envelope = Envelope.model_validate(row.envelope)
            subscription = self._subscriptions.find(envelope.source, envelope.type)
            await self._apply(subscription, envelope, uow)
            await uow.session.execute(
                update(inbox)
                .where(inbox.c.consumer == consumer, inbox.c.event_id == event_id)
                .values(status="done", handled_at=func.clock_timestamp(), attempts=inbox.c.attempts + 1, reason=None)
            )
        EVENTS_HANDLED.labels(self._database.prefix, envelope.type, "done").inc()

    async def _apply(self, subscription: Subscription | None, envelope: Envelope, uow: Any) -> None:
        if subscription is None or subscription.handler is None or subscription.reader is None:
            return
        event: Any = subscription.reader.model_validate(envelope.data)
        fields = {"tenant_id": str(envelope.tenantid), "event_id": str(envelope.id), "event_type": envelope.type}
        with (
            handling(envelope),
            span(
                f"handle {envelope.type}",
                parent=envelope.traceparent,
                correlation=envelope.correlationid,
                fields=fields,
            ),
        ):
            await subscription.handler(event, uow, envelope)
            log.info("fact handled")

    async def _fail(
        self,
        event_id: UUID,
        reason: str,
        *,
        park: bool = False,
        tries: int | None = None,
        patience: timedelta | None = None,
    ) -> None:
        async with self._store.for_system("inbox") as uow:
            where = (
                inbox.c.consumer == self._subscriptions.consumer,
                inbox.c.event_id == event_id,
                inbox.c.status == "pending",
            )
            row = (
                await uow.session.execute(
                    select(inbox.c.attempts, inbox.c.type, (func.clock_timestamp() - inbox.c.received_at).label("age"))
                    .where(*where)
                    .with_for_update()
                )
            ).one_or_none()
            if row is None:
                return
            attempts = row.attempts + 1
            parked = park or (tries is not None and attempts >= tries) or (patience is not None and row.age > patience)
            await uow.session.execute(
                update(inbox)
                .where(*where)
                .values(
                    status="parked" if parked else "pending",
                    attempts=attempts,
                    reason=reason[:2000],
                    next_attempt_at=func.clock_timestamp() + pause_after(attempts),
                )
            )
        outcome = "parked" if parked else "retried"
        EVENTS_HANDLED.labels(self._database.prefix, row.type, outcome).inc()
        log.log(logging.ERROR if parked else logging.INFO, "fact %s %s: %s", event_id, outcome, reason)

    async def replay(self, event_id: UUID) -> bool:
        """Make a parked fact pending again; return whether there was one."""
        async with self._store.for_system("inbox") as uow:
            changed: int = await uow.count_changed(
                update(inbox)
                .where(
                    inbox.c.consumer == self._subscriptions.consumer,
                    inbox.c.event_id == event_id,
                    inbox.c.status == "parked",
                )
                .values(status="pending", attempts=0, next_attempt_at=func.clock_timestamp())
            )
            return changed == 1

    async def forget_handled(self) -> int:
        """Delete rows handled longer ago than ``KEEP``; return how many."""
        async with self._store.for_system("inbox") as uow:
            forgotten: int = await uow.count_changed(
                delete(inbox).where(inbox.c.status == "done", inbox.c.handled_at < func.clock_timestamp() - KEEP)
            )
            return forgotten
