"""Facts of others: stored, then acknowledged, then handled in one transaction each.

The handler's work and the row's ``done`` are one commit, so a fact is applied exactly once however often it
arrives. Retries, pauses, parking and replay are states of the row; the same code serves both brokers.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from common.crash_points import reach
from common.errors import DomainError, Unavailable
from common.messaging.envelope import Envelope, handling
from common.messaging.fact import schema_uri
from common.messaging.refusal import Delivery
from common.messaging.subscriptions import Subscription, Subscriptions
from common.messaging.wakeup import Wakeup
from common.persistence.mechanisms import inbox
from common.persistence.store import Store
from common.telemetry.context import span
from common.telemetry.metrics import EVENTS_HANDLED

log = logging.getLogger(__name__)

DUE_AT_ONCE = 50
"""Facts that one look takes up."""
AT_ONCE = 4
"""Facts handled at once: as many as the tenants' door has connections."""

BUG_TRIES = 5
"""How often a handler that raises something unforeseen is tried before the fact is parked."""

PATIENCE = timedelta(hours=24)
"""How long a fact waits for its predecessor, or for something unavailable, before it is parked."""

KEEP = timedelta(days=30)

REFUSED = "refused delivery"
"""Type of a row that holds no event but what was delivered in the place of one."""


class UnknownFact(Exception):
    """A type or schema version that this version of the consumer does not know; a later one may."""


class _NamesNoTenant(Exception):
    """A fact of nobody's organization, and a handler that takes none such."""


def pause_after(attempts: int) -> timedelta:
    """Return the pause after the n-th failed try: 0.2 s, doubling, at most 5 minutes."""
    return min(timedelta(minutes=5), timedelta(seconds=0.2) * float(1 << min(attempts, 12)))


class _Key(NamedTuple):
    """What makes a fact one: an id is its source's own, so that nobody can take the place of another's fact."""

    source: str
    event_id: UUID


async def store_fact(uow: Any, consumer: str, envelope: Envelope) -> None:
    """Put a fact into a consumer's inbox, unless it is there."""
    await uow.session.execute(
        insert(inbox)
        .values(
            consumer=consumer,
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
            await store_fact(uow, self._subscriptions.consumer, envelope)

    async def park(self, delivery: Delivery, reason: str) -> None:
        """Store a refused delivery as it came, parked; a second one of the same bytes changes nothing."""
        kept = {
            "body": b64encode(delivery.body).decode(),
            "publisher": delivery.publisher,
            "exchange": delivery.exchange,
        }
        async with self._store.for_system("inbox") as uow:
            await uow.session.execute(
                insert(inbox)
                .values(
                    consumer=self._subscriptions.consumer,
                    event_id=delivery.key,
                    type=REFUSED,
                    source=(delivery.publisher or "unknown")[:60],
                    envelope=kept,
                    status="parked",
                    reason=reason,
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

        async def one(fact: _Key, tenant_id: UUID | None) -> None:
            async with gate:
                await self._try(fact, tenant_id)

        async with asyncio.TaskGroup() as group:
            for fact, tenant_id in due:
                group.create_task(one(fact, tenant_id))
        return len(due)

    async def _due(self) -> list[tuple[_Key, UUID | None]]:
        async with self._store.for_system("inbox") as uow:
            rows = await uow.session.execute(
                select(inbox.c.source, inbox.c.event_id, inbox.c.tenant_id)
                .where(
                    inbox.c.consumer == self._subscriptions.consumer,
                    inbox.c.status == "pending",
                    inbox.c.next_attempt_at <= func.clock_timestamp(),
                )
                .order_by(inbox.c.next_attempt_at)
                .limit(DUE_AT_ONCE)
            )
            return [(_Key(row.source, row.event_id), row.tenant_id) for row in rows]

    def _pending(self, fact: _Key) -> tuple[ColumnElement[bool], ...]:
        return (
            inbox.c.consumer == self._subscriptions.consumer,
            inbox.c.source == fact.source,
            inbox.c.event_id == fact.event_id,
            inbox.c.status == "pending",
        )

    async def _try(self, fact: _Key, tenant_id: UUID | None) -> None:
        try:
            await self._handle(fact, tenant_id)
        except _NamesNoTenant:
            await self._fail(fact, "the fact names no tenant", park=True)
        except (DataError, IntegrityError, ProgrammingError) as error:
            log.exception("handler's statement refused")
            await self._fail(fact, f"{type(error).__name__}: {error}", tries=BUG_TRIES)
        except (Unavailable, DBAPIError, OSError) as error:
            await self._fail(fact, f"{type(error).__name__}: {error}", patience=PATIENCE)
        except (DomainError, ValidationError, UnknownFact) as error:
            await self._fail(fact, f"{type(error).__name__}: {error}", park=True)
        except Exception as error:
            log.exception("handler failed")
            await self._fail(fact, f"{type(error).__name__}: {error}", tries=BUG_TRIES)

    async def _handle(self, fact: _Key, tenant_id: UUID | None) -> None:
        """Apply a fact and mark it in one transaction: of its tenant, or of the inbox where it is nobody's."""
        door = self._store.for_system("inbox") if tenant_id is None else self._store.for_tenant(tenant_id)
        async with door as uow:
            mine = select(inbox.c.envelope).where(*self._pending(fact)).with_for_update(skip_locked=True)
            row = (await uow.session.execute(mine)).one_or_none()
            if row is None:
                return
            envelope = Envelope.model_validate(row.envelope)
            subscription = self._subscription(envelope)
            if tenant_id is None and not subscription.takes_nobodys:
                raise _NamesNoTenant
            await self._apply(subscription, envelope, uow)
            reach("common.fact.applied")
            await uow.session.execute(
                update(inbox)
                .where(*self._pending(fact))
                .values(status="done", handled_at=func.clock_timestamp(), attempts=inbox.c.attempts + 1, reason=None)
            )
        reach("common.fact.committed")
        EVENTS_HANDLED.labels(self._database.prefix, envelope.type, "done").inc()

    def _subscription(self, envelope: Envelope) -> Subscription:
        """Return what is done about a fact; one that nobody here knows waits for a version that does."""
        found = self._subscriptions.find(envelope.source, envelope.type)
        if found is None:
            raise UnknownFact(f"{envelope.type} of {envelope.source} is not known here")
        if envelope.dataschema != schema_uri(envelope.type):
            raise UnknownFact(f"the schema {envelope.dataschema} is not known here")
        return found

    async def _apply(self, subscription: Subscription, envelope: Envelope, uow: Any) -> None:
        handler, reader = subscription.handler, subscription.reader
        follower = self._subscriptions.follower if envelope.tenantid is not None else None
        if handler is None and follower is None:
            return
        event: Any = reader.model_validate(envelope.data) if handler and reader else None
        whose = {"tenant_id": str(envelope.tenantid)} if envelope.tenantid is not None else {}
        fields = whose | {"event_id": str(envelope.id), "event_type": envelope.type}
        with (
            handling(envelope),
            span(
                f"handle {envelope.type}",
                parent=envelope.traceparent,
                correlation=envelope.correlationid,
                fields=fields,
            ),
        ):
            if handler is not None:
                await handler(event, uow, envelope)
            if follower is not None:
                await follower(uow, envelope)
            log.info("fact handled")

    async def _fail(
        self,
        fact: _Key,
        reason: str,
        *,
        park: bool = False,
        tries: int | None = None,
        patience: timedelta | None = None,
    ) -> None:
        async with self._store.for_system("inbox") as uow:
            where = self._pending(fact)
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
        log.log(logging.ERROR if parked else logging.INFO, "fact %s %s: %s", fact.event_id, outcome, reason)

    async def forget_handled(self) -> int:
        """Delete rows handled longer ago than ``KEEP``; return how many."""
        async with self._store.for_system("inbox") as uow:
            forgotten: int = await uow.count_changed(
                delete(inbox).where(
                    inbox.c.status.in_(("done", "dropped")), inbox.c.handled_at < func.clock_timestamp() - KEEP
                )
            )
            return forgotten
