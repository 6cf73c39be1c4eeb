"""Refunds, what a payment has left to refund, and who may ask a provider about one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.payment import Payment, poll_pause
from billing.domain.plan import Method
from billing.domain.refund import COUNTED, SENT, UNDERWAY, Captured, Channel, Refund, RefundStatus, refund_may_become
from billing.persistence.paging import newest_first
from billing.persistence.tables import refunds


def _refund(row: Row[Any]) -> Refund:
    return Refund(
        tenant_id=row.tenant_id,
        id=row.id,
        payment_id=row.payment_id,
        order_id=row.order_id,
        method=Method(row.method),
        channel=Channel(row.channel),
        status=RefundStatus(row.status),
        amount=Money(row.amount_minor, row.currency),
        from_order=Money(row.from_order_minor, row.order_currency),
        from_credit=Money(row.from_credit_minor, row.order_currency),
        request_id=row.request_id,
        requests=row.requests,
        provider_reference=row.provider_reference,
        refund_reference=row.refund_reference,
        reason=row.reason,
        reason_code=row.reason_code,
        requested_by=row.requested_by,
        decided_by=row.decided_by,
        polls=row.polls,
        next_poll_at=row.next_poll_at,
        created_at=row.created_at,
        sent_at=row.sent_at,
        completed_at=row.completed_at,
    )


class Refunds:
    """Refunds that the transaction's door lets through."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def add(self, refund: Refund) -> None:
        """Insert a refund; its provider is called only after this is committed."""
        await self._session.execute(
            insert(refunds).values(
                tenant_id=refund.tenant_id,
                id=refund.id,
                payment_id=refund.payment_id,
                order_id=refund.order_id,
                method=refund.method,
                channel=refund.channel,
                status=refund.status,
                amount_minor=refund.amount.amount_minor,
                currency=refund.amount.currency,
                from_order_minor=refund.from_order.amount_minor,
                from_credit_minor=refund.from_credit.amount_minor,
                order_currency=refund.from_order.currency,
                request_id=refund.request_id,
                requests=refund.requests,
                provider_reference=refund.provider_reference,
                refund_reference=refund.refund_reference,
                reason=refund.reason,
                requested_by=refund.requested_by,
                decided_by=refund.decided_by,
                polls=0,
                next_poll_at=refund.next_poll_at,
                created_at=refund.created_at,
                updated_at=refund.created_at,
            )
        )

    async def find(self, refund_id: UUID) -> Refund | None:
        """Return a refund, unlocked."""
        row = (await self._session.execute(select(refunds).where(refunds.c.id == refund_id))).one_or_none()
        return _refund(row) if row else None

    async def lock(self, refund_id: UUID) -> Refund | None:
        """Return a refund and hold it; its order and payment are held already."""
        row = (
            await self._session.execute(select(refunds).where(refunds.c.id == refund_id).with_for_update())
        ).one_or_none()
        return _refund(row) if row else None

    async def of_payment(self, payment_id: UUID) -> list[Refund]:
        """Return a payment's refunds, oldest first."""
        rows = await self._session.execute(
            select(refunds).where(refunds.c.payment_id == payment_id).order_by(refunds.c.id)
        )
        return [_refund(row) for row in rows]

    async def page(
        self,
        after: UUID | None,
        limit: int,
        *,
        status: RefundStatus | None = None,
        payment_id: UUID | None = None,
        tenant_id: UUID | None = None,
    ) -> list[Refund]:
        """Return visible refunds, newest first, that are older than ``after``."""
        query = newest_first(
            refunds,
            after,
            limit,
            {refunds.c.status: status, refunds.c.payment_id: payment_id, refunds.c.tenant_id: tenant_id},
        )
        return [_refund(row) for row in await self._session.execute(query)]

    async def underway(self, order_id: UUID) -> int:
        """Return what refunds that are asked for, and have not left, take of an order, in minor units."""
        found = await self._session.scalar(
            select(func.sum(refunds.c.from_order_minor)).where(
                refunds.c.order_id == order_id, refunds.c.status.in_(UNDERWAY)
            )
        )
        return int(found or 0)

    async def from_credit(self, order_id: UUID) -> dict[UUID, int]:
        """Return what refunds that count take of the customer's credit, in minor units, by the order's payment."""
        rows = await self._session.execute(
            select(refunds.c.payment_id, func.sum(refunds.c.from_credit_minor).label("taken"))
            .where(refunds.c.order_id == order_id, refunds.c.status.in_(COUNTED))
            .group_by(refunds.c.payment_id)
        )
        return {row.payment_id: int(row.taken) for row in rows}

    async def captured(
        self, payment: Payment, *, allocated_minor: int, credit: Money, order_left: Money, kept: Money
    ) -> Captured:
        """Return what may still go back of a locked, completed payment; refunds that count are subtracted.

        Args:
            payment: Locked: whoever asks next sees the refund that this transaction adds.
            allocated_minor: What of it went to its order.
            credit: What the customer has left of his credit, held.
            order_left: What of its order has gone back in no way.
            kept: What of its order became the customer's credit for unused time, and went back by no other payment.
        """
        assert payment.settled is not None
        row = (
            await self._session.execute(
                select(
                    func.coalesce(func.sum(refunds.c.amount_minor), 0).label("amount"),
                    func.coalesce(func.sum(refunds.c.from_order_minor), 0).label("from_order"),
                    func.coalesce(func.sum(refunds.c.from_credit_minor), 0).label("from_credit"),
                ).where(refunds.c.payment_id == payment.id, refunds.c.status.in_(COUNTED))
            )
        ).one()
        currency = payment.amount.currency
        return Captured(
            settled=payment.settled,
            worth=payment.worth,
            allocated=Money(allocated_minor, currency),
            refunded=Money(int(row.amount), payment.settled.currency),
            refunded_from_order=Money(int(row.from_order), currency),
            refunded_from_credit=Money(int(row.from_credit), currency),
            credit=credit,
            order_left=order_left,
            kept=kept,
        )

    async def completed_of(self, payment_id: UUID) -> int:
        """Return what has gone back of a payment, in minor units of the charged currency."""
        found = await self._session.scalar(
            select(func.sum(refunds.c.amount_minor)).where(
                refunds.c.payment_id == payment_id, refunds.c.status == RefundStatus.COMPLETED
            )
        )
        return int(found or 0)

    async def sending(self, refund: Refund) -> None:
        """Note that a refund on its way is about to be sent, the first time."""
        await self._session.execute(
            update(refunds)
            .where(refunds.c.id == refund.id, refunds.c.sent_at.is_(None), refunds.c.status.in_(SENT))
            .values(sent_at=self._clock.now())
        )

    async def move(self, refund: Refund, wanted: RefundStatus, **columns: Any) -> bool:
        """Move a locked refund where its rank allows; ``columns`` are written either way. Returns whether it moved."""
        moves = refund_may_become(refund.status, wanted)
        if moves:
            columns["status"] = wanted
            if wanted not in SENT:
                columns["next_poll_at"] = None
        if columns:
            await self._session.execute(
                update(refunds).where(refunds.c.id == refund.id).values(updated_at=self._clock.now(), **columns)
            )
        return moves


class DueRefunds:
    """Which refunds are followed next; through the janitor's door, which sees every tenant's."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def due(self, limit: int) -> list[tuple[UUID, Method]]:
        """Return refunds on their way whose time has come, longest waiting first."""
        rows = await self._session.execute(
            select(refunds.c.id, refunds.c.method)
            .where(refunds.c.next_poll_at <= self._clock.now())
            .order_by(refunds.c.next_poll_at)
            .limit(limit)
        )
        return [(row.id, Method(row.method)) for row in rows]

    async def claim(self, refund_id: UUID) -> UUID | None:
        """Take the right to send or ask about a due refund; returns its tenant, for one of any number of claimants."""
        now = self._clock.now()
        polls = await self._session.scalar(
            select(refunds.c.polls).where(refunds.c.id == refund_id, refunds.c.next_poll_at <= now)
        )
        if polls is None:
            return None
        claimed = await self._session.execute(
            update(refunds)
            .where(refunds.c.id == refund_id, refunds.c.next_poll_at <= now, refunds.c.polls == polls)
            .values(next_poll_at=now + follow_pause(polls), polls=polls + 1)
            .returning(refunds.c.tenant_id)
        )
        row = claimed.one_or_none()
        return row.tenant_id if row else None


def follow_pause(polls: int) -> timedelta:
    """Return how long to wait after the ``polls``-th question: a call takes up to 20 s, so never less than that."""
    return max(poll_pause(polls), timedelta(seconds=20))
