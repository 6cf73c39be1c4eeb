"""Where organizations want to hear of things, as rows; through `for_tenant`.

Locks are taken in one order, as everywhere: organization, endpoint, delivery.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.webhooks import Endpoint, Off, Sealed
from tenancy.persistence.tables import entitlements, webhook_endpoints

UNSHOWN = {"secret_sealed", "former_sealed", "last_turn_at", "deleted_at"}
SHOWN = [column for column in webhook_endpoints.c if column.name not in UNSHOWN]
IS_THERE = webhook_endpoints.c.deleted_at.is_(None)


class WebhookEndpoints:
    """Endpoints of the transaction's tenant; one that is deleted is none, whatever of it still waits to go."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, endpoint: Endpoint, secret_sealed: bytes) -> None:
        kept = asdict(endpoint) | {"event_types": list(endpoint.event_types)}
        await self._session.execute(insert(webhook_endpoints).values(**kept, secret_sealed=secret_sealed))

    async def get(self, tenant_id: UUID, endpoint_id: UUID, *, lock: bool = False) -> Endpoint | None:
        found = select(*SHOWN).where(*_this(tenant_id, endpoint_id), IS_THERE)
        if lock:
            found = found.with_for_update(key_share=True)
        row = (await self._session.execute(found)).mappings().one_or_none()
        return None if row is None else _endpoint(row)

    async def page(self, tenant_id: UUID, *, after: UUID | None, limit: int) -> list[Endpoint]:
        """Endpoints, newest first."""
        found = select(*SHOWN).where(webhook_endpoints.c.tenant_id == tenant_id, IS_THERE)
        if after is not None:
            found = found.where(webhook_endpoints.c.id < after)
        rows = await self._session.execute(found.order_by(webhook_endpoints.c.id.desc()).limit(limit))
        return [_endpoint(row) for row in rows.mappings()]

    async def made_by(self, tenant_id: UUID, user_id: UUID) -> list[UUID]:
        """Ids of the endpoints that a person made."""
        found = select(webhook_endpoints.c.id).where(
            webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.created_by == user_id, IS_THERE
        )
        return list(await self._session.scalars(found.order_by(webhook_endpoints.c.id)))

    async def count(self, tenant_id: UUID) -> int:
        found = select(func.count()).where(webhook_endpoints.c.tenant_id == tenant_id, IS_THERE)
        return int(await self._session.scalar(found) or 0)

    async def listening(self, tenant_id: UUID, feature: str) -> list[Endpoint]:
        """Endpoints that are on, of an organization whose plan has the feature. Until the end of the transaction none
        of them can be switched off, so that nothing is left waiting for one that is.
        """
        allowed = exists().where(entitlements.c.tenant_id == tenant_id, entitlements.c.features[feature].as_boolean())
        found = select(*SHOWN).where(webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.enabled, allowed)
        rows = await self._session.execute(
            found.order_by(webhook_endpoints.c.id).with_for_update(read=True, of=webhook_endpoints)
        )
        return [_endpoint(row) for row in rows.mappings()]

    async def secrets(self, tenant_id: UUID, endpoint_id: UUID) -> Sealed:
        columns = (
            webhook_endpoints.c.secret_sealed,
            webhook_endpoints.c.former_sealed,
            webhook_endpoints.c.former_until,
        )
        row = (await self._session.execute(select(*columns).where(*_this(tenant_id, endpoint_id)))).one()
        return Sealed(*row)

    async def rotate(self, endpoint: Endpoint, secret_sealed: bytes, former_until: datetime | None) -> None:
        """Put a new secret in force; the one before signs beside it until then, or no more."""
        former = webhook_endpoints.c.secret_sealed if former_until is not None else None
        await self._update(
            endpoint, {"secret_sealed": secret_sealed, "former_sealed": former, "former_until": former_until}
        )

    async def save(self, endpoint: Endpoint) -> None:
        """Write what may change: address, description, types, and whether it is on."""
        await self._update(
            endpoint,
            {
                "url": endpoint.url,
                "description": endpoint.description,
                "event_types": list(endpoint.event_types),
                "enabled": endpoint.enabled,
                "off_for": endpoint.off_for,
                "failing_since": endpoint.failing_since,
            },
        )

    async def _update(self, endpoint: Endpoint, values: dict[str, Any]) -> None:
        await self._session.execute(
            update(webhook_endpoints).where(*_this(endpoint.tenant_id, endpoint.id)).values(values)
        )

    async def delete(self, endpoint: Endpoint, at: datetime) -> None:
        """Empty it and let nobody see it any more. What was or is on its way to it goes by and by
        (`WebhookClaims.clear`): there may be a month of it.
        """
        gone = {"url": "", "description": "", "secret_sealed": b"", "former_sealed": None, "former_until": None}
        await self._update(endpoint, gone | {"enabled": False, "off_for": Off.BY_PERSON, "deleted_at": at})


def _this(tenant_id: UUID, endpoint_id: UUID) -> tuple[Any, Any]:
    return webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.id == endpoint_id


def _endpoint(row: RowMapping) -> Endpoint:
    off_for = Off(row["off_for"]) if row["off_for"] else None
    return Endpoint(**dict(row) | {"event_types": tuple(row["event_types"]), "off_for": off_for})
