"""What the tenant uses, as it was last told: one row, its figures each with their own time."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.usage import Figure, newer
from billing.persistence.tables import usage_figures


class UsageFigures:
    """Figures of the transaction's tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def known(self, tenant_id: UUID, *, lock: bool = False) -> dict[str, Figure]:
        """Return the figures by name; none where nothing was counted yet."""
        found = select(usage_figures.c.figures).where(usage_figures.c.tenant_id == tenant_id)
        document = await self._session.scalar(found.with_for_update() if lock else found)
        return {
            name: Figure(figure["value"], datetime.fromisoformat(figure["measured_at"]))
            for name, figure in (document or {}).items()
        }

    async def count(self, tenant_id: UUID, name: str, by: int, *, first: int, at: datetime) -> None:
        """Move a figure that is counted from facts, each of which comes once; it begins at ``first``."""
        await self._open(tenant_id)
        known = await self.known(tenant_id, lock=True)
        before = known[name].value if name in known else first
        await self._keep(tenant_id, {**known, name: Figure(max(before + by, 0), at)})

    async def learn(self, tenant_id: UUID, told: Mapping[str, Figure]) -> None:
        """Keep a report; of each figure the one that was measured last stays."""
        await self._open(tenant_id)
        await self._keep(tenant_id, newer(await self.known(tenant_id, lock=True), told))

    async def _open(self, tenant_id: UUID) -> None:
        await self._session.execute(
            insert(usage_figures).values(tenant_id=tenant_id, figures={}).on_conflict_do_nothing()
        )

    async def _keep(self, tenant_id: UUID, figures: Mapping[str, Figure]) -> None:
        document = {
            name: {"value": figure.value, "measured_at": figure.measured_at.isoformat()}
            for name, figure in figures.items()
        }
        await self._session.execute(
            update(usage_figures).where(usage_figures.c.tenant_id == tenant_id).values(figures=document)
        )
