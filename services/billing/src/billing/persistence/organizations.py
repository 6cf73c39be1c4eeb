"""Tenancy's organizations as last told by events: for answers only."""

from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.persistence.tables import organizations


class Organizations:
    """Copies of the organization objects that the transaction's door lets through."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def documents(self, tenant_ids: list[UUID]) -> dict[UUID, dict[str, Any]]:
        """Return the organization objects of these tenants, as far as they exist."""
        rows = await self._session.execute(
            select(organizations.c.tenant_id, organizations.c.document).where(organizations.c.tenant_id.in_(tenant_ids))
        )
        return {row.tenant_id: row.document for row in rows}

    async def document(self, tenant_id: UUID) -> dict[str, Any] | None:
        """Return one organization object."""
        return (await self.documents([tenant_id])).get(tenant_id)

    async def owner(self, tenant_id: UUID) -> UUID | None:
        """Return the user id of an organization's owner, as far as it is known here."""
        found: UUID | None = await self._session.scalar(
            select(organizations.c.owner_id).where(organizations.c.tenant_id == tenant_id)
        )
        return found

    async def learn(self, tenant_id: UUID, document: dict[str, Any], owner_id: UUID | None, version: int) -> bool:
        """Merge what an event says over what is known; an older version than the known one changes nothing."""
        now = self._clock.now()
        told = insert(organizations).values(
            tenant_id=tenant_id, owner_id=owner_id, document=document, version=version, updated_at=now
        )
        learned = await self._session.execute(
            told.on_conflict_do_update(
                index_elements=["tenant_id"],
                set_={
                    "document": organizations.c.document.op("||")(told.excluded.document),
                    "owner_id": told.excluded.owner_id if owner_id is not None else organizations.c.owner_id,
                    "version": version,
                    "updated_at": now,
                },
                where=organizations.c.version <= version,
            ).returning(organizations.c.tenant_id)
        )
        return learned.one_or_none() is not None
