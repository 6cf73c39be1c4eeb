"""Receipts: the files that customers send as evidence of a bank transfer."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from common.clock import Clock
from sqlalchemy import and_, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.payment import Payment
from billing.persistence.tables import receipts


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stored file that a customer sent as evidence of a transfer."""

    id: UUID
    payment_id: UUID
    sha256: str
    content_type: str
    size_bytes: int
    object_name: str
    uploaded_by: UUID


class Receipts:
    """Receipts of the transaction's tenant."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    async def add(self, payment: Payment, receipt: Receipt) -> bool:
        """Record a receipt; False where the tenant sent this very file before."""
        added = await self._session.execute(
            insert(receipts)
            .values(
                tenant_id=payment.tenant_id,
                id=receipt.id,
                payment_id=receipt.payment_id,
                sha256=receipt.sha256,
                content_type=receipt.content_type,
                size_bytes=receipt.size_bytes,
                object_name=receipt.object_name,
                uploaded_by=receipt.uploaded_by,
                created_at=self._clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(receipts.c.id)
        )
        return added.one_or_none() is not None

    async def known(self, payment_id: UUID, sha256: str) -> tuple[int, bool]:
        """Return how many receipts a payment has, and whether the tenant sent this very file before."""
        of_payment = select(func.count()).where(receipts.c.payment_id == payment_id).scalar_subquery()
        same = select(receipts.c.id).where(receipts.c.sha256 == sha256).exists()
        count, repeated = (await self._session.execute(select(of_payment, same))).one()
        return int(count), bool(repeated)

    async def repeats(self, payment_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
        """Return which of these payments have a receipt, and for which others the very same file was sent.

        Through the staff's door those of all tenants: a customer is not told of them, and a person has to look.
        """
        other = receipts.alias("other")
        same = and_(other.c.sha256 == receipts.c.sha256, other.c.payment_id != receipts.c.payment_id)
        found: dict[UUID, list[UUID]] = {}
        rows = await self._session.execute(
            select(receipts.c.payment_id, other.c.payment_id.label("repeats"))
            .select_from(receipts.outerjoin(other, same))
            .where(receipts.c.payment_id.in_(payment_ids))
            .order_by(other.c.payment_id)
        )
        for row in rows:
            known = found.setdefault(row.payment_id, [])
            if row.repeats is not None and row.repeats not in known:
                known.append(row.repeats)
        return found

    async def sent_for(self, payment_ids: Collection[UUID]) -> set[UUID]:
        """Return which of these payments a receipt was sent for."""
        rows = await self._session.scalars(
            select(receipts.c.payment_id).where(receipts.c.payment_id.in_(payment_ids)).distinct()
        )
        return set(rows)

    async def any_of(self, payment_id: UUID) -> bool:
        """Say whether a receipt was sent for the payment."""
        return await self.newest_of(payment_id) is not None

    async def newest_of(self, payment_id: UUID) -> Receipt | None:
        """Return the newest receipt of a payment."""
        row = (
            await self._session.execute(
                select(receipts).where(receipts.c.payment_id == payment_id).order_by(receipts.c.id.desc()).limit(1)
            )
        ).one_or_none()
        if row is None:
            return None
        return Receipt(
            row.id, row.payment_id, row.sha256, row.content_type, row.size_bytes, row.object_name, row.uploaded_by
        )
