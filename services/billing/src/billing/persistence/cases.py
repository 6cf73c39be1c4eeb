"""Cases: what a person of finance must look at."""

from typing import Any

from common.clock import Clock
from common.ids import uuid7
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.domain.payment import Payment
from billing.persistence.tables import cases


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
