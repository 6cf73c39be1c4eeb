"""Disputes and reversals of the transaction's tenant, and which are asked about next."""

from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import Row, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.dispute import ASK_EVERY, Dispute, DisputeKind, DisputeStatus
from billing.domain.money import Money
from billing.persistence.paging import newest_first
from billing.persistence.tables import disputes


def _dispute(row: Row[Any]) -> Dispute:
    return Dispute(
        tenant_id=row.tenant_id,
        id=row.id,
        payment_id=row.payment_id,
        kind=DisputeKind(row.kind),
        reference=row.reference,
        status=DisputeStatus(row.status),
        reason=row.reason,
        amount=None if row.amount_minor is None else Money(row.amount_minor, row.currency),
        opened_at=row.opened_at,
        resolved_at=row.resolved_at,
        next_poll_at=row.next_poll_at,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
    )


LOST = and_(disputes.c.status == DisputeStatus.LOST, disputes.c.lifted_at.is_(None))
HOLDS = or_(disputes.c.status == DisputeStatus.OPEN, LOST)
"""`Dispute.holds` as a condition."""


class Disputes:
    """Disputes that the transaction's door lets through."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def find(self, payment_id: UUID, reference: str) -> Dispute | None:
        """Return a payment's dispute by the provider's reference; the payment is held."""
        row = (
            await self._session.execute(
                select(disputes).where(disputes.c.payment_id == payment_id, disputes.c.reference == reference)
            )
        ).one_or_none()
        return _dispute(row) if row else None

    async def of_payment(self, payment_id: UUID) -> list[Dispute]:
        """Return a payment's disputes, oldest first."""
        rows = await self._session.execute(
            select(disputes).where(disputes.c.payment_id == payment_id).order_by(disputes.c.id)
        )
        return [_dispute(row) for row in rows]

    async def get(self, dispute_id: UUID) -> Dispute | None:
        """Return a dispute by its id, unlocked; whoever changes one holds its payment and the subscription."""
        row = (await self._session.execute(select(disputes).where(disputes.c.id == dispute_id))).one_or_none()
        return _dispute(row) if row else None

    async def holding(self) -> Dispute | None:
        """Return the newest of the disputes that keep the tenant's subscription suspended, if there is one."""
        row = (
            await self._session.execute(
                select(disputes).where(HOLDS).order_by(disputes.c.opened_at.desc(), disputes.c.id.desc()).limit(1)
            )
        ).one_or_none()
        return _dispute(row) if row else None

    async def add(self, dispute: Dispute) -> None:
        """Insert a dispute that we have just heard of."""
        await self._session.execute(
            insert(disputes).values(
                tenant_id=dispute.tenant_id,
                id=dispute.id,
                payment_id=dispute.payment_id,
                kind=dispute.kind,
                reference=dispute.reference,
                status=dispute.status,
                reason=dispute.reason,
                amount_minor=dispute.amount.amount_minor if dispute.amount else None,
                currency=dispute.amount.currency if dispute.amount else None,
                opened_at=dispute.opened_at,
                resolved_at=dispute.resolved_at,
                next_poll_at=dispute.next_poll_at,
            )
        )

    async def resolve(self, dispute: Dispute, status: DisputeStatus) -> None:
        """Note how a dispute ended; it is asked about no more."""
        await self._session.execute(
            update(disputes)
            .where(disputes.c.id == dispute.id)
            .values(status=status, resolved_at=self._clock.now(), next_poll_at=None)
        )

    async def lift(self, dispute: Dispute, by: UUID) -> None:
        """Let a lost dispute hold nothing any more."""
        await self._session.execute(
            update(disputes).where(disputes.c.id == dispute.id).values(lifted_at=self._clock.now(), lifted_by=by)
        )

    async def lift_lost(self) -> None:
        """Let the tenant's lost disputes hold nothing any more: the subscription that they held has ended."""
        await self._session.execute(update(disputes).where(LOST).values(lifted_at=self._clock.now()))

    async def page(
        self,
        after: UUID | None,
        limit: int,
        *,
        status: DisputeStatus | None = None,
        payment_id: UUID | None = None,
        tenant_id: UUID | None = None,
    ) -> list[Dispute]:
        """Return visible disputes, newest first, that are older than ``after``."""
        equal = {disputes.c.status: status, disputes.c.payment_id: payment_id, disputes.c.tenant_id: tenant_id}
        query = newest_first(disputes, after, limit, equal)
        return [_dispute(row) for row in await self._session.execute(query)]

    async def claim_due(self) -> tuple[UUID, UUID, str] | None:
        """Take the right to ask about one open dispute; tenant, payment and reference. Through the janitor's door."""
        now = self._clock.now()
        due = (
            select(disputes.c.tenant_id, disputes.c.id)
            .where(disputes.c.next_poll_at <= now)
            .order_by(disputes.c.next_poll_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        taken = await self._session.execute(
            update(disputes)
            .where(disputes.c.tenant_id == due.c.tenant_id, disputes.c.id == due.c.id)
            .values(next_poll_at=now + ASK_EVERY)
            .returning(disputes.c.tenant_id, disputes.c.payment_id, disputes.c.reference)
        )
        row = taken.one_or_none()
        return (row.tenant_id, row.payment_id, row.reference) if row else None
