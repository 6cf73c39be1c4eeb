"""Who may ask a provider, and when: one UPDATE per claim, and a budget per provider that all processes share.

Used through the janitor's door, which sees every tenant's attempts; the hint side through the webhook's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from common.clock import Clock
from sqlalchemy import BigInteger, and_, case, cast, extract, func, literal, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.payment import MINIMUM_GAP, POLL_PAUSES, SLOW_POLL, TRANSFER_OVERDUE, PaymentStatus
from billing.persistence.tables import payments, provider_budgets

TRANSFER_PAUSE = timedelta(days=1)
"""Between two looks at a transfer that waits: its case is opened once, or again where a crash kept it from being."""

TOKEN = 1_000
"""One question, in thousandths of a token, so that refilling needs no fraction."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """An attempt and whose it is; from `Polling.claim`, one that nobody else asks about for a while."""

    tenant_id: UUID
    payment_id: UUID


class Polling:
    """Claims of attempts that are due."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def due(self, limit: int) -> list[tuple[UUID, str]]:
        """Return attempts whose time has come, longest waiting first, with their methods."""
        rows = await self._session.execute(
            select(payments.c.id, payments.c.method)
            .where(payments.c.next_poll_at <= self._clock.now())
            .order_by(payments.c.next_poll_at)
            .limit(limit)
        )
        return [(row.id, row.method) for row in rows]

    async def claim_transfers(self, submitted_before: datetime, limit: int) -> list[Claimed]:
        """Take submitted transfers that wait for a person, in one statement; none again for `TRANSFER_PAUSE`."""
        now = self._clock.now()
        waiting = (
            select(payments.c.tenant_id, payments.c.id)
            .where(
                payments.c.status == PaymentStatus.SUBMITTED,
                payments.c.reason_code.is_distinct_from(TRANSFER_OVERDUE),  # finance has its case
                payments.c.created_at <= submitted_before,
                or_(payments.c.last_poll_at.is_(None), payments.c.last_poll_at <= now - TRANSFER_PAUSE),
            )
            .order_by(payments.c.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("waiting")
        )
        taken = await self._session.execute(
            update(payments)
            .where(tuple_(payments.c.tenant_id, payments.c.id).in_(select(waiting.c.tenant_id, waiting.c.id)))
            .values(last_poll_at=now, polls=payments.c.polls + 1)
            .returning(payments.c.tenant_id, payments.c.id)
        )
        return [Claimed(row.tenant_id, row.id) for row in taken]

    async def claim(self, payment_id: UUID, *, gap: timedelta | None = None) -> Claimed | None:
        """Take the right to ask about one attempt; of any number of claimants at one time one gets it.

        Args:
            payment_id: The attempt.
            gap: With it, the claimant has news (a callback, a waiting customer) and may ask before the planned
                time, if nobody asked for this long.
        """
        now = self._clock.now()
        pause = case(
            *[(payments.c.polls == index, literal(pause)) for index, pause in enumerate(POLL_PAUSES)],
            else_=literal(SLOW_POLL),
        )
        due = payments.c.next_poll_at <= now
        if gap is not None:
            rested = or_(payments.c.last_poll_at.is_(None), payments.c.last_poll_at <= now - gap)
            due = or_(due, and_(payments.c.next_poll_at.is_not(None), rested))
        claimed = await self._session.execute(
            update(payments)
            .where(payments.c.id == payment_id, due)
            .values(next_poll_at=literal(now) + pause, last_poll_at=now, polls=payments.c.polls + 1)
            .returning(payments.c.tenant_id, payments.c.id)
        )
        row = claimed.one_or_none()
        return Claimed(row.tenant_id, row.id) if row else None

    async def spend(self, provider: str, per_second: int) -> bool:
        """Take one question from a provider's budget; False when it is used up for the moment.

        Refilled by the database's clock: processes whose clocks differ share one budget.
        """
        now = func.clock_timestamp()
        await self._session.execute(
            insert(provider_budgets)
            .values(provider=provider, millitokens=per_second * TOKEN, refilled_at=now)
            .on_conflict_do_nothing()
        )
        elapsed_ms = cast(extract("epoch", now - provider_budgets.c.refilled_at) * 1000, BigInteger)
        refilled = func.least(per_second * TOKEN, provider_budgets.c.millitokens + elapsed_ms * per_second)
        spent = await self._session.execute(
            update(provider_budgets)
            .where(provider_budgets.c.provider == provider, refilled >= TOKEN)
            .values(millitokens=refilled - TOKEN, refilled_at=now)
            .returning(provider_budgets.c.provider)
        )
        return spent.one_or_none() is not None


class Hints:
    """News without proof: which attempt a callback or webhook is about, and asking about it soon."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def by_callback_token(self, token: str) -> UUID | None:
        """Return the attempt that this token was made for."""
        return await self._session.scalar(select(payments.c.id).where(payments.c.callback_token == token))

    async def by_provider(self, method: str, *references: str | None, payment_id: UUID | None = None) -> Claimed | None:
        """Return the attempt that a provider's references (or our own id, echoed) name; nothing is claimed."""
        known = [reference for reference in references if reference]
        found = await self._session.execute(
            select(payments.c.tenant_id, payments.c.id)
            .where(
                payments.c.method == method,
                or_(
                    payments.c.provider_reference.in_(known),
                    payments.c.receipt_reference.in_(known),
                    payments.c.id == payment_id,
                ),
            )
            .limit(1)
        )
        row = found.one_or_none()
        return Claimed(row.tenant_id, row.id) if row else None

    async def hasten(self, payment_id: UUID) -> datetime | None:
        """Make an attempt due now, but not sooner after its last question than the minimum gap.

        Returns:
            When it is due; ``None`` where the attempt has its final state and nothing is to be asked.
        """
        now = self._clock.now()
        soonest = func.greatest(
            literal(now), func.coalesce(payments.c.last_poll_at, literal(now) - MINIMUM_GAP) + MINIMUM_GAP
        )
        hastened = await self._session.execute(
            update(payments)
            .where(payments.c.id == payment_id, payments.c.next_poll_at.is_not(None))
            .values(next_poll_at=func.least(payments.c.next_poll_at, soonest))
            .returning(payments.c.next_poll_at)
        )
        row = hastened.one_or_none()
        return row.next_poll_at if row else None
