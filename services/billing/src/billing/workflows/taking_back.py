"""Money that leaves us without our asking: read the dispute or the capture afresh from its provider, then apply it.

A webhook or the janitor says where to look; nothing that a webhook says besides is believed.
"""

import logging
from uuid import UUID

from common.crash_points import reach

from billing.domain.dispute import DisputeStatus
from billing.domain.invoice import Issuer
from billing.domain.plan import Method
from billing.persistence.unit_of_work import BillingStore
from billing.ports import DisputingProvider, ProviderError
from billing.usecases.apply_dispute import apply_dispute, apply_movements
from billing.workflows.budget import Budget
from billing.workflows.checkout import view_of

log = logging.getLogger(__name__)

BATCH = 20


class TakingBack:
    """The provider that knows disputes, and how its answers reach the rows.

    Args:
        store: The three doors.
        provider: ``None`` where this deployment has none.
        issuer: Who issues credit notes and writes the mails.
        budget: How often providers are asked.
    """

    def __init__(self, store: BillingStore, provider: DisputingProvider | None, issuer: Issuer, budget: Budget) -> None:
        self._store = store
        self._provider = provider
        self._issuer = issuer
        self._budget = budget

    async def dispute(self, tenant_id: UUID, payment_id: UUID, reference: str) -> str:
        """Read a dispute and apply it; returns what came of it.

        Raises:
            ProviderError: No answer that tells; try again.
        """
        if self._provider is None:
            return "no provider"
        state = await self._provider.observe_dispute(reference)
        if state is None:
            return "no such dispute"
        reach("billing.dispute.read")
        async with self._store.for_tenant(tenant_id) as uow:
            changed = await apply_dispute(uow, payment_id, state, issuer=self._issuer)
            reach("billing.dispute.applied")
        reach("billing.dispute.committed")
        return f"dispute {state.status.value}" if changed else "dispute known"

    async def movements(self, tenant_id: UUID, payment_id: UUID, *, reversed_: bool) -> str:
        """Read what has gone back of a payment and book what we did not send; returns what came of it.

        Raises:
            ProviderError: No answer that tells; try again.
        """
        if self._provider is None:
            return "no provider"
        async with self._store.for_tenant(tenant_id) as uow:
            payment = await uow.payments.find(payment_id)
            assert payment is not None
            order = await uow.orders.find(payment.order_id)
            assert order is not None
        found = await self._provider.observe_movements(view_of(payment, order))
        reach("billing.movements.read")
        async with self._store.for_tenant(tenant_id) as uow:
            disputed = any(one.status is not DisputeStatus.WON for one in await uow.disputes.of_payment(payment_id))
            booked = await apply_movements(uow, payment_id, found, reversed_=reversed_ or disputed, issuer=self._issuer)
            reach("billing.movements.applied")
        reach("billing.movements.committed")
        return f"{booked} booked"

    async def follow_due(self) -> int:
        """Ask about open disputes whose time has come; return how many."""
        followed = 0
        while self._provider is not None and followed < BATCH:
            async with self._store.for_system("janitor") as uow:
                due = await uow.disputes.claim_due()
                if due is None or not await self._budget.spend(uow, Method.PAYPAL):
                    await uow.session.rollback()
                    return followed
            tenant_id, payment_id, reference = due
            try:
                await self.dispute(tenant_id, payment_id, reference)
                await self.movements(tenant_id, payment_id, reversed_=True)
            except ProviderError as error:
                log.warning("dispute unanswered", extra={"payment_id": str(payment_id), "code": error.code})
            followed += 1
        return followed
