"""Messages on their way to customers, as rows; through `for_tenant`."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from common.ids import uuid7
from sqlalchemy import RowMapping, delete, func, insert, null, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.webhooks import MOST_TESTS, TEST, Attempt, Delivery, Endpoint, State
from tenancy.persistence.tables import webhook_attempts, webhook_deliveries

TRIES_KEPT = 100
"""Tries of one delivery that are kept, the newest: whoever replays it for ever does not fill the disk."""

UNSHOWN = {"source", "body", "claimed_until", "claim_id"}
SHOWN = [column for column in webhook_deliveries.c if column.name not in UNSHOWN]
BEGUN: dict[str, Any] = {
    "state": State.PENDING,
    "tries": 0,
    "finished_at": None,
    "claimed_until": None,
    "claim_id": None,
    "next_attempt_at": func.clock_timestamp(),
}
"""What makes a delivery due at once, by the database's clock, which is what claims go by."""


class WebhookDeliveries:
    """Deliveries of the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(
        self,
        endpoints: Sequence[Endpoint],
        *,
        source: str,
        message_id: UUID,
        event_type: str,
        body: bytes,
        at: datetime,
    ) -> list[UUID]:
        """Begin to deliver a message to each of the endpoints that does not have it yet; return the deliveries' ids."""
        if not endpoints:
            return []
        rows = [
            {
                "tenant_id": endpoint.tenant_id,
                "id": uuid7(),
                "endpoint_id": endpoint.id,
                "source": source,
                "message_id": message_id,
                "event_type": event_type,
                "body": body,
                "created_at": at,
                "next_attempt_at": func.clock_timestamp(),
            }
            for endpoint in endpoints
        ]
        added = (
            upsert(webhook_deliveries)
            .values(rows)
            .on_conflict_do_nothing(index_elements=["tenant_id", "endpoint_id", "source", "message_id"])
        )
        return list(await self._session.scalars(added.returning(webhook_deliveries.c.id)))

    async def tests(self, endpoint: Endpoint, since: datetime) -> list[datetime]:
        """When the newest test messages since then were asked for, at most `MOST_TESTS`, the oldest first."""
        found = select(webhook_deliveries.c.created_at).where(
            *_to(endpoint), webhook_deliveries.c.event_type == TEST, webhook_deliveries.c.created_at > since
        )
        newest = await self._session.scalars(found.order_by(webhook_deliveries.c.created_at.desc()).limit(MOST_TESTS))
        return sorted(newest)

    async def get(self, tenant_id: UUID, delivery_id: UUID, *, lock: bool = False) -> Delivery | None:
        found = select(*SHOWN).where(*_this(tenant_id, delivery_id))
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else _delivery(row)

    async def claimed(self, tenant_id: UUID, delivery_id: UUID, claim_id: UUID, *, lock: bool) -> Delivery | None:
        """The delivery, if it still waits and whoever claimed it is still the one who has."""
        found = select(*SHOWN).where(
            *_this(tenant_id, delivery_id),
            webhook_deliveries.c.claim_id == claim_id,
            webhook_deliveries.c.state == State.PENDING,
        )
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else _delivery(row)

    async def body(self, delivery: Delivery) -> bytes:
        found = select(webhook_deliveries.c.body).where(*_this(delivery.tenant_id, delivery.id))
        return bytes((await self._session.execute(found)).scalar_one())

    async def page(
        self,
        tenant_id: UUID,
        endpoint_id: UUID,
        *,
        state: State | None,
        event_type: str | None,
        after: UUID | None,
        limit: int,
    ) -> list[Delivery]:
        """Deliveries to one endpoint, newest first."""
        found = select(*SHOWN).where(
            webhook_deliveries.c.tenant_id == tenant_id, webhook_deliveries.c.endpoint_id == endpoint_id
        )
        if state is not None:
            found = found.where(webhook_deliveries.c.state == state)
        if event_type is not None:
            found = found.where(webhook_deliveries.c.event_type == event_type)
        if after is not None:
            found = found.where(webhook_deliveries.c.id < after)
        rows = await self._session.execute(found.order_by(webhook_deliveries.c.id.desc()).limit(limit))
        return [_delivery(row) for row in rows.mappings()]

    async def attempts(self, delivery: Delivery) -> list[Attempt]:
        """The tries of a delivery that are kept, the newest first."""
        columns = [column for column in webhook_attempts.c if column.name not in {"tenant_id", "delivery_id"}]
        found = select(*columns).where(
            webhook_attempts.c.tenant_id == delivery.tenant_id, webhook_attempts.c.delivery_id == delivery.id
        )
        rows = await self._session.execute(found.order_by(webhook_attempts.c.number.desc()).limit(TRIES_KEPT))
        return [Attempt(**row) for row in rows.mappings()]

    async def note(self, delivery: Delivery, attempt: Attempt) -> None:
        """Keep a try, and let go of those before the newest `TRIES_KEPT`."""
        await self._session.execute(
            insert(webhook_attempts).values(tenant_id=delivery.tenant_id, delivery_id=delivery.id, **asdict(attempt))
        )
        if attempt.number > TRIES_KEPT:
            await self._session.execute(
                delete(webhook_attempts).where(
                    webhook_attempts.c.tenant_id == delivery.tenant_id,
                    webhook_attempts.c.delivery_id == delivery.id,
                    webhook_attempts.c.number <= attempt.number - TRIES_KEPT,
                )
            )

    async def try_again(self, delivery: Delivery, pause: timedelta) -> None:
        """Write what the last try came to, and when the next one is due; the claim ends."""
        await self._settle(delivery, {"next_attempt_at": func.clock_timestamp() + pause})

    async def finish(self, delivery: Delivery, state: State, at: datetime) -> None:
        """Write what the last try came to, and that it was the last; the claim ends."""
        await self._settle(delivery, {"next_attempt_at": None, "state": state, "finished_at": at})

    async def _settle(self, delivery: Delivery, values: dict[str, Any]) -> None:
        told = {name: getattr(delivery, name) for name in ("attempts", "tries", "last_status", "last_error")}
        await self._session.execute(
            update(webhook_deliveries)
            .where(*_this(delivery.tenant_id, delivery.id))
            .values(**told, claimed_until=None, claim_id=None, **values)
        )

    async def begin_again(self, delivery: Delivery) -> None:
        """Send a message again from the first try on, the same under the same id."""
        await self._session.execute(
            update(webhook_deliveries).where(*_this(delivery.tenant_id, delivery.id)).values(BEGUN)
        )

    async def begin_failed_again(self, endpoint: Endpoint, since: datetime) -> int:
        """Send again what was written since then and has failed; return how many."""
        begun: Any = await self._session.execute(
            update(webhook_deliveries)
            .where(
                *_to(endpoint),
                webhook_deliveries.c.state == State.FAILED,
                webhook_deliveries.c.created_at >= since,
            )
            .values(BEGUN)
        )
        return int(begun.rowcount)

    async def give_up(self, endpoint: Endpoint, at: datetime) -> None:
        """End what waits for an endpoint that is switched off."""
        await self._session.execute(
            update(webhook_deliveries)
            .where(*_to(endpoint), webhook_deliveries.c.state == State.PENDING)
            .values(
                state=State.FAILED,
                finished_at=at,
                next_attempt_at=None,
                claimed_until=None,
                claim_id=null(),
                last_error="endpoint_off",
            )
        )


def _this(tenant_id: UUID, delivery_id: UUID) -> tuple[Any, Any]:
    return webhook_deliveries.c.tenant_id == tenant_id, webhook_deliveries.c.id == delivery_id


def _to(endpoint: Endpoint) -> tuple[Any, Any]:
    return webhook_deliveries.c.tenant_id == endpoint.tenant_id, webhook_deliveries.c.endpoint_id == endpoint.id


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(**dict(row) | {"state": State(row["state"])})
