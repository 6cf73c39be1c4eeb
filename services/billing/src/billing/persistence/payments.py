"""Payments (attempts), their allocations, and who may ask a provider about them."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any
from uuid import UUID

from common.clock import Clock
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.money import Money
from billing.domain.payment import WATCHED, Payment, PaymentStatus
from billing.domain.plan import Method
from billing.domain.transitions import payment_may_become
from billing.persistence.paging import newest_first
from billing.persistence.tables import payment_allocations, payments


def _payment(row: Row[Any]) -> Payment:
    return Payment(
        tenant_id=row.tenant_id,
        id=row.id,
        user_id=row.user_id,
        order_id=row.order_id,
        method=Method(row.method),
        status=PaymentStatus(row.status),
        amount=Money(row.amount_minor, row.currency),
        charged=Money(row.charged_minor, row.charged_currency),
        rate_numerator=row.rate_numerator,
        rate_denominator=row.rate_denominator,
        settled=None if row.settled_minor is None else Money(row.settled_minor, row.settled_currency),
        reference=row.reference,
        provider_reference=row.provider_reference,
        receipt_reference=row.receipt_reference,
        create_request_id=row.create_request_id,
        capture_request_id=row.capture_request_id,
        captures=row.captures,
        callback_token=row.callback_token,
        phone_number=row.phone_number,
        return_url=row.return_url,
        cancel_url=row.cancel_url,
        redirect_url=row.redirect_url,
        reason_code=row.reason_code,
        submitted_by=row.submitted_by,
        approved_by=row.approved_by,
        language=row.language,
        trace=row.trace or {},
        polls=row.polls,
        next_poll_at=row.next_poll_at,
        last_poll_at=row.last_poll_at,
        created_at=row.created_at,
        completed_at=row.completed_at,
        bank_reference=row.bank_reference,
        value_on=row.value_on,
    )


class Payments:
    """Payments that the transaction's door lets through."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def add(self, payment: Payment) -> None:
        """Insert a new attempt; its provider is called only after this is committed."""
        now = self._clock.now()
        await self._session.execute(
            insert(payments).values(
                tenant_id=payment.tenant_id,
                id=payment.id,
                user_id=payment.user_id,
                order_id=payment.order_id,
                method=payment.method,
                status=payment.status,
                amount_minor=payment.amount.amount_minor,
                currency=payment.amount.currency,
                charged_minor=payment.charged.amount_minor,
                charged_currency=payment.charged.currency,
                rate_numerator=payment.rate_numerator,
                rate_denominator=payment.rate_denominator,
                reference=payment.reference,
                provider_reference=payment.provider_reference,
                create_request_id=payment.create_request_id,
                capture_request_id=payment.capture_request_id,
                captures=payment.captures,
                callback_token=payment.callback_token,
                phone_number=payment.phone_number,
                return_url=payment.return_url,
                cancel_url=payment.cancel_url,
                submitted_by=payment.submitted_by,
                language=payment.language,
                trace=payment.trace,
                polls=0,
                next_poll_at=payment.next_poll_at,
                created_at=now,
                updated_at=now,
            )
        )

    async def find(self, payment_id: UUID) -> Payment | None:
        """Return a payment, unlocked."""
        row = (await self._session.execute(select(payments).where(payments.c.id == payment_id))).one_or_none()
        return _payment(row) if row else None

    async def lock(self, payment_id: UUID) -> Payment | None:
        """Return a payment and hold it; its order is held already."""
        row = (
            await self._session.execute(select(payments).where(payments.c.id == payment_id).with_for_update())
        ).one_or_none()
        return _payment(row) if row else None

    async def of_order(self, order_id: UUID) -> list[Payment]:
        """Return an order's attempts, oldest first."""
        rows = await self._session.execute(
            select(payments).where(payments.c.order_id == order_id).order_by(payments.c.id)
        )
        return [_payment(row) for row in rows]

    async def page(
        self,
        after: UUID | None,
        limit: int,
        *,
        status: PaymentStatus | None = None,
        method: Method | None = None,
        payment_id: UUID | None = None,
        order_id: UUID | None = None,
        tenant_id: UUID | None = None,
    ) -> list[Payment]:
        """Return visible payments, newest first, that are older than ``after``, of one state or any."""
        query = newest_first(
            payments,
            after,
            limit,
            {
                payments.c.status: status,
                payments.c.method: method,
                payments.c.id: payment_id,
                payments.c.order_id: order_id,
                payments.c.tenant_id: tenant_id,
            },
        )
        return [_payment(row) for row in await self._session.execute(query)]

    async def paid_by_movement(self, reference: str, days: Collection[date], *, by_hand_only: bool = False) -> bool:
        """Say whether a movement at the bank has paid a transfer; through the staff's door one of any organization.

        Args:
            reference: The bank's number of the movement.
            days: Value dates that it may have been given.
            by_hand_only: Whether lines of statements, each of which is a movement of its own, are left out.
        """
        query = select(payments.c.id).where(payments.c.bank_reference == reference, payments.c.value_on.in_(days))
        if by_hand_only:
            query = query.where(payments.c.receipt_reference.is_(None))
        return await self._session.scalar(query.limit(1)) is not None

    async def move(self, payment: Payment, wanted: PaymentStatus, **columns: Any) -> bool:
        """Move a locked payment where its rank allows; ``columns`` are written either way.

        Returns:
            Whether the state moved.
        """
        moves = payment_may_become(payment.status, wanted)
        if moves:
            columns["status"] = wanted
            if wanted not in WATCHED:
                columns["next_poll_at"] = None
        if columns:
            await self._session.execute(
                update(payments).where(payments.c.id == payment.id).values(updated_at=self._clock.now(), **columns)
            )
        return moves

    async def schedule(self, payment_id: UUID, at: datetime) -> None:
        """Set when an attempt that is still watched is asked about next."""
        await self._session.execute(
            update(payments)
            .where(payments.c.id == payment_id, payments.c.next_poll_at.is_not(None))
            .values(next_poll_at=at)
        )

    async def allocated(self, payment_id: UUID) -> int:
        """Return what of a payment went to its order, in minor units of the order's currency."""
        found = await self._session.scalar(
            select(func.sum(payment_allocations.c.amount_minor)).where(payment_allocations.c.payment_id == payment_id)
        )
        return int(found or 0)

    async def allocate(self, payment: Payment, amount: Money) -> bool:
        """Record what of a payment goes to its order; a second time changes nothing and returns False."""
        inserted = await self._session.execute(
            upsert(payment_allocations)
            .values(
                tenant_id=payment.tenant_id,
                payment_id=payment.id,
                order_id=payment.order_id,
                amount_minor=amount.amount_minor,
                currency=amount.currency,
                created_at=self._clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(payment_allocations.c.payment_id)
        )
        return inserted.one_or_none() is not None
