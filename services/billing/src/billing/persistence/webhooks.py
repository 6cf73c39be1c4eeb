"""Signed events of providers, stored raw and once by the provider's own id; a worker handles them."""

from dataclasses import dataclass
from datetime import timedelta

from common.clock import Clock
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.persistence.tables import webhook_events

HANDLING = timedelta(seconds=30)
"""How long a taken event is left to its worker before another may take it."""


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One stored event."""

    provider: str
    event_id: str
    event_type: str
    body: bytes
    headers: dict[str, str]


class WebhookEvents:
    """Through the webhook role's door only: an event names no tenant until its attempt is found."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def store(self, event: RawEvent) -> bool:
        """Store an event; False for one that is stored already. The unique key decides, not a look before."""
        now = self._clock.now()
        stored = await self._session.execute(
            insert(webhook_events)
            .values(
                provider=event.provider,
                event_id=event.event_id,
                event_type=event.event_type,
                body=event.body,
                headers=event.headers,
                received_at=now,
                next_attempt_at=now,
                attempts=0,
            )
            .on_conflict_do_nothing()
            .returning(webhook_events.c.event_id)
        )
        return stored.one_or_none() is not None

    async def take(self) -> RawEvent | None:
        """Take one event that is due, for a while."""
        now = self._clock.now()
        due = (
            select(webhook_events.c.provider, webhook_events.c.event_id)
            .where(webhook_events.c.handled_at.is_(None), webhook_events.c.next_attempt_at <= now)
            .order_by(webhook_events.c.next_attempt_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        taken = await self._session.execute(
            update(webhook_events)
            .where(
                webhook_events.c.provider == due.c.provider,
                webhook_events.c.event_id == due.c.event_id,
            )
            .values(next_attempt_at=now + HANDLING, attempts=webhook_events.c.attempts + 1)
            .returning(
                webhook_events.c.provider,
                webhook_events.c.event_id,
                webhook_events.c.event_type,
                webhook_events.c.body,
                webhook_events.c.headers,
            )
        )
        row = taken.one_or_none()
        return RawEvent(row.provider, row.event_id, row.event_type, row.body, row.headers) if row else None

    async def done(self, event: RawEvent, outcome: str) -> None:
        """Mark an event as handled, with what came of it."""
        await self._session.execute(
            update(webhook_events)
            .where(webhook_events.c.provider == event.provider, webhook_events.c.event_id == event.event_id)
            .values(handled_at=self._clock.now(), outcome=outcome)
        )
