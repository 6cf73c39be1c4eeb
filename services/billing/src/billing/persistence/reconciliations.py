"""Which payments a day's comparison is about, how far it got, and movements that no payment of ours explains."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import Row as SqlRow
from sqlalchemy import and_, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.plan import Method
from billing.domain.reconciliation import Movement, Row, Run
from billing.persistence.tables import payments, reconciliations, refunds, unmatched_movements


class Reconciliations:
    """Through the janitor's door, which sees every tenant's references; staff read and close."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def begin(self, provider: Method, day: date) -> bool:
        """Note that a day's comparison begins, or begins again; False where it is finished."""
        now = self._clock.now()
        begun = await self._session.execute(
            insert(reconciliations)
            .values(provider=provider, day=day, started_at=now, checked=0, differences=0, is_listed=False)
            .on_conflict_do_update(
                index_elements=["provider", "day"],
                set_={"started_at": now},
                where=reconciliations.c.finished_at.is_(None),
            )
            .returning(reconciliations.c.day)
        )
        return begun.one_or_none() is not None

    async def finish(self, provider: Method, day: date, *, checked: int, differences: int, is_listed: bool) -> None:
        """Note that a day's comparison is done."""
        await self._session.execute(
            update(reconciliations)
            .where(reconciliations.c.provider == provider, reconciliations.c.day == day)
            .values(finished_at=self._clock.now(), checked=checked, differences=differences, is_listed=is_listed)
        )

    async def rows(self, provider: Method, since: datetime, until: datetime) -> list[Row]:
        """Return the payments that completed, or some of whose money went back, in ``[since, until)``."""
        refunded = select(refunds.c.payment_id).where(
            refunds.c.method == provider, refunds.c.completed_at >= since, refunds.c.completed_at < until
        )
        found = await self._session.execute(
            select(payments.c.tenant_id, payments.c.id)
            .where(
                payments.c.method == provider,
                or_(
                    and_(payments.c.completed_at >= since, payments.c.completed_at < until),
                    payments.c.id.in_(refunded),
                ),
            )
            .order_by(payments.c.id)
        )
        return [Row(row.tenant_id, row.id) for row in found]

    async def is_known(self, movement: Movement) -> bool:
        """Say whether a movement is a payment or a refund of ours, whoever's it is."""
        payment = select(payments.c.id).where(
            payments.c.method == movement.provider, payments.c.receipt_reference == movement.reference
        )
        refund = select(refunds.c.id).where(
            refunds.c.method == movement.provider, refunds.c.refund_reference == movement.reference
        )
        return (await self._session.scalar(payment.union_all(refund).limit(1))) is not None

    async def keep_unmatched(self, movement: Movement, day: date) -> bool:
        """Keep a movement that nothing of ours explains, once; returns whether it is new."""
        kept = await self._session.execute(
            insert(unmatched_movements)
            .values(
                provider=movement.provider,
                reference=movement.reference,
                amount_minor=movement.amount.amount_minor if movement.amount else None,
                currency=movement.amount.currency if movement.amount else None,
                occurred_at=movement.occurred_at,
                found_on=day,
            )
            .on_conflict_do_nothing()
            .returning(unmatched_movements.c.reference)
        )
        return kept.one_or_none() is not None

    async def runs(self, limit: int) -> list[Run]:
        """Return the newest comparisons."""
        found = await self._session.execute(
            select(reconciliations).order_by(reconciliations.c.day.desc(), reconciliations.c.provider).limit(limit)
        )
        return [
            Run(row.provider, row.day, row.finished_at, row.checked, row.differences, row.is_listed) for row in found
        ]

    async def unmatched(self, after: tuple[datetime, str, str] | None, limit: int) -> list[SqlRow[Any]]:
        """Return movements that no payment of ours explains and nobody has closed, newest first.

        Args:
            after: Time, provider and reference of the last one of the page before.
            limit: How many.
        """
        each = unmatched_movements.c
        key = (each.occurred_at, each.provider, each.reference)
        query = select(unmatched_movements).where(each.closed_at.is_(None)).limit(limit)
        if after is not None:
            query = query.where(tuple_(*key) < tuple_(*map(literal, after)))
        return list((await self._session.execute(query.order_by(*(column.desc() for column in key)))).all())

    async def close_unmatched(self, provider: str, reference: str, *, by: UUID, note: str) -> bool:
        """Close a movement with what came of it; False where there is none open."""
        closed = await self._session.execute(
            update(unmatched_movements)
            .where(
                unmatched_movements.c.provider == provider,
                unmatched_movements.c.reference == reference,
                unmatched_movements.c.closed_at.is_(None),
            )
            .values(closed_at=self._clock.now(), closed_by=by, note=note)
            .returning(unmatched_movements.c.reference)
        )
        return closed.one_or_none() is not None
