"""Places under the plan's limits, taken by one conditional statement each: no two can take the last one (S39)."""

from __future__ import annotations

from datetime import date

from sqlalchemy import func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert

from backup_engine.domain.quota import GB, Quotas, Resource
from backup_engine.errors import QuotaReached
from backup_engine.persistence.rows import Repository
from backup_engine.persistence.tables import quota_counters

ALWAYS = date(1, 1, 1)
"""The period of what is not counted per month."""


class QuotaRepository(Repository):
    """Counters of the tenant. Storage is counted in bytes, everything else in pieces."""

    async def used(self, resource: Resource, period: date = ALWAYS) -> int:
        found = await self._session.scalar(
            select(quota_counters.c.used).where(self._mine(quota_counters, resource=str(resource), period=period))
        )
        return int(found or 0)

    async def take(self, quotas: Quotas, resource: Resource, count: int = 1, period: date = ALWAYS) -> int:
        """Take ``count`` places in this transaction; returns how many are taken now.

        Raises:
            QuotaReached: fewer are left. Nothing is taken.
        """
        if count == 0:
            return await self.used(resource, period)
        await self._ensure(resource, period)
        limit = quotas.limit(resource)
        statement = (
            update(quota_counters)
            .where(self._mine(quota_counters, resource=str(resource), period=period))
            .values(used=quota_counters.c.used + count)
            .returning(quota_counters.c.used)
        )
        if limit is not None:
            statement = statement.where(quota_counters.c.used + count <= limit)
        taken = await self._session.scalar(statement)
        if taken is None:
            raise QuotaReached(resource=str(resource), limit=limit or 0, current=await self.used(resource, period))
        return int(taken)

    async def give_back(self, resource: Resource, count: int = 1, period: date = ALWAYS) -> None:
        """Free places again; never below none."""
        await self._session.execute(
            update(quota_counters)
            .where(self._mine(quota_counters, resource=str(resource), period=period))
            .values(used=func.greatest(literal(0), quota_counters.c.used - count))
        )

    async def stored_bytes(self) -> int:
        """Stored bytes of chunks that restore points refer to."""
        return await self.used(Resource.STORAGE)

    async def add_storage(self, size_bytes: int) -> int:
        """Count stored bytes; returns the new sum. Never refuses: whether there is room is decided at prepare."""
        await self._ensure(Resource.STORAGE, ALWAYS)
        return int(
            await self._session.scalar(
                update(quota_counters)
                .where(self._mine(quota_counters, resource=str(Resource.STORAGE), period=ALWAYS))
                .values(used=quota_counters.c.used + size_bytes)
                .returning(quota_counters.c.used)
            )
            or 0
        )

    async def check_storage(self, quotas: Quotas, more_bytes: int = 0) -> None:
        """Raises QuotaReached when the stored bytes, with ``more_bytes``, pass the limit (or already fill it)."""
        limit = quotas.storage_bytes
        if limit is None:
            return
        used = await self.used(Resource.STORAGE)
        if used + more_bytes > limit or used >= limit:
            raise QuotaReached(resource=str(Resource.STORAGE), limit=limit // GB, current=-(-(used + more_bytes) // GB))

    async def held(self, month: date) -> dict[Resource, int]:
        """What every counter says, backups of the month, locked until the transaction ends: who counts then waits."""
        for resource in Resource:
            await self._ensure(resource, _period(resource, month))
        rows = await self._session.execute(
            select(quota_counters.c.resource, quota_counters.c.used)
            .where(
                self._mine(quota_counters),
                tuple_(quota_counters.c.resource, quota_counters.c.period).in_(
                    [(str(resource), _period(resource, month)) for resource in Resource]
                ),
            )
            .order_by(quota_counters.c.resource)
            .with_for_update()
        )
        return {Resource(row.resource): int(row.used) for row in rows}

    async def correct(self, resource: Resource, used: int, month: date) -> None:
        """Let a counter say what was found; that of backups is the month's."""
        await self._session.execute(
            update(quota_counters)
            .where(self._mine(quota_counters, resource=str(resource), period=_period(resource, month)))
            .values(used=used)
        )

    async def _ensure(self, resource: Resource, period: date) -> None:
        await self._session.execute(
            upsert(quota_counters)
            .values(tenant_id=self._uow.tenant_id, resource=str(resource), period=period, used=0)
            .on_conflict_do_nothing()
        )


def _period(resource: Resource, month: date) -> date:
    return month if resource is Resource.BACKUPS else ALWAYS
