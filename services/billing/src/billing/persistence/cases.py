"""Cases: what a person of finance must look at."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common.clock import Clock
from common.ids import uuid7
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.payment import Payment
from billing.persistence.paging import newest_first
from billing.persistence.tables import cases


@dataclass(frozen=True, slots=True)
class Case:
    """One case, as its row."""

    tenant_id: UUID
    id: UUID
    kind: str
    payment_id: UUID
    reference: str
    details: dict[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    closed_by: UUID | None
    note: str | None


class Cases:
    """Cases of the transaction's tenant."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def open(self, payment: Payment, kind: str, details: dict[str, Any], *, reference: str = "") -> bool:
        """Open a case about a payment, once per kind and ``reference`` (which refund, dispute or day it is about)."""
        opened = await self._session.execute(
            insert(cases)
            .values(
                tenant_id=payment.tenant_id,
                id=uuid7(),
                kind=kind,
                payment_id=payment.id,
                reference=reference,
                details=details,
                opened_at=self._clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(cases.c.id)
        )
        return opened.one_or_none() is not None

    async def find(self, case_id: UUID) -> Case | None:
        """Return a case."""
        row = (await self._session.execute(select(cases).where(cases.c.id == case_id))).one_or_none()
        return Case(**row._mapping) if row else None  # noqa: SLF001

    async def page(
        self,
        after: UUID | None,
        limit: int,
        *,
        is_open: bool | None = None,
        kind: str | None = None,
        payment_id: UUID | None = None,
        tenant_id: UUID | None = None,
    ) -> list[Case]:
        """Return visible cases, newest first, that are older than ``after``."""
        query = newest_first(
            cases, after, limit, {cases.c.kind: kind, cases.c.payment_id: payment_id, cases.c.tenant_id: tenant_id}
        )
        if is_open is not None:
            query = query.where(cases.c.closed_at.is_(None) if is_open else cases.c.closed_at.is_not(None))
        rows = await self._session.execute(query)
        return [Case(**row._mapping) for row in rows]  # noqa: SLF001

    async def close_of(self, payment: Payment, kinds: Iterable[str], *, by: UUID, note: str) -> None:
        """Close the open cases of these kinds about a payment: what they asked for was done."""
        await self._session.execute(
            update(cases)
            .where(cases.c.payment_id == payment.id, cases.c.kind.in_(list(kinds)), cases.c.closed_at.is_(None))
            .values(closed_at=self._clock.now(), closed_by=by, note=note)
        )

    async def close(self, case_id: UUID, *, by: UUID, note: str) -> bool:
        """Close an open case with what came of it; False where it is closed or not the tenant's."""
        closed = await self._session.execute(
            update(cases)
            .where(cases.c.id == case_id, cases.c.closed_at.is_(None))
            .values(closed_at=self._clock.now(), closed_by=by, note=note)
            .returning(cases.c.id)
        )
        return closed.one_or_none() is not None
