"""Impersonations of the transaction's tenant; `end_with` and `overdue` look across tenants."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.impersonation import Impersonation
from tenancy.persistence.tables import impersonations


class Impersonations:
    """Rows are only ever added and ended."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, started: Impersonation) -> None:
        await self._session.execute(insert(impersonations).values(**asdict(started)))

    async def get(self, tenant_id: UUID, impersonation_id: UUID, *, lock: bool = False) -> Impersonation | None:
        found = select(impersonations).where(
            impersonations.c.tenant_id == tenant_id, impersonations.c.id == impersonation_id
        )
        row = (await self._session.execute(found.with_for_update() if lock else found)).mappings().one_or_none()
        return None if row is None else Impersonation(**row)

    async def page(self, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[Impersonation]:
        """Newest first."""
        found = select(impersonations).where(impersonations.c.tenant_id == tenant_id)
        if before is not None:
            found = found.where(impersonations.c.id < before)
        rows = await self._session.execute(found.order_by(impersonations.c.id.desc()).limit(limit))
        return [Impersonation(**row) for row in rows.mappings()]

    async def end(self, ended: Impersonation) -> None:
        await self._session.execute(
            update(impersonations)
            .where(impersonations.c.tenant_id == ended.tenant_id, impersonations.c.id == ended.id)
            .values(ended_at=ended.ended_at, ended_by=ended.ended_by)
        )

    async def end_with(self, staff_user_id: UUID, sessions: Collection[UUID], at: datetime) -> list[Impersonation]:
        """End what a person began in these sessions, in whatever organizations. Needs `for_system("auth")`."""
        ended = (
            update(impersonations)
            .where(
                impersonations.c.staff_user_id == staff_user_id,
                impersonations.c.ended_at.is_(None),
                impersonations.c.staff_session_id.in_(sessions) | impersonations.c.staff_session_id.is_(None),
            )
            .values(ended_at=at)
            .returning(impersonations)
        )
        return [Impersonation(**row) for row in (await self._session.execute(ended)).mappings()]

    async def overdue(self, now: datetime) -> list[tuple[UUID, UUID]]:
        """Organization and id of those whose time is over. Needs `for_system("janitor")`."""
        found = select(impersonations.c.tenant_id, impersonations.c.id).where(
            impersonations.c.ended_at.is_(None), impersonations.c.expires_at <= now
        )
        return [(row.tenant_id, row.id) for row in await self._session.execute(found)]
