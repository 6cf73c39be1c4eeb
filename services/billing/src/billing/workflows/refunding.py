"""Send approved refunds and follow them until their provider says a final word; no call inside a transaction.

The route that approves and the janitor both end in `Refunding.follow`; who may call is decided by one UPDATE.
"""

import logging
from collections.abc import Mapping
from uuid import UUID

from common.clock import Clock
from common.crash_points import reach

from billing.domain.invoice import Issuer
from billing.domain.order import Order
from billing.domain.payment import Payment
from billing.domain.plan import Method
from billing.domain.refund import SENT, Channel, Refund
from billing.persistence.unit_of_work import BillingStore
from billing.ports import (
    AttemptView,
    ProviderError,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderStatus,
    RefundingProvider,
    RefundState,
    RefundView,
)
from billing.usecases.apply_refund_state import apply_refund_state
from billing.workflows.budget import Budget
from billing.workflows.checkout import view_of

log = logging.getLogger(__name__)

BATCH = 50


class Refunding:
    """The providers that can send money back, and how their answers reach the rows.

    Args:
        store: The three doors.
        providers: By method; a payment of another method is refunded by hand.
        issuer: Who issues credit notes.
        clock: The time.
        budget: How often providers are asked.
    """

    def __init__(
        self,
        store: BillingStore,
        providers: Mapping[Method, RefundingProvider],
        issuer: Issuer,
        clock: Clock,
        budget: Budget,
    ) -> None:
        self._store = store
        self._providers = providers
        self._issuer = issuer
        self._clock = clock
        self._budget = budget

    def can_send(self, method: Method) -> bool:
        """Say whether this deployment refunds a method by its provider."""
        return method in self._providers

    async def follow_due(self) -> int:
        """Send or ask about every refund whose time has come, one after the other; return how many."""
        async with self._store.for_system("janitor") as uow:
            due = await uow.due_refunds.due(BATCH)
        followed = 0
        for refund_id, method in due:
            try:
                followed += await self.follow(refund_id, method)
            except Exception:
                # One refund that we can't handle must not keep the others waiting; it is due again after its pause.
                log.exception("refund not followed", extra={"refund_id": str(refund_id)})
        return followed

    async def follow(self, refund_id: UUID, method: Method) -> bool:
        """Send a due refund, or ask where it stands; False where it is not due, or another does it, or no budget."""
        async with self._store.for_system("janitor") as uow:
            tenant_id = await uow.due_refunds.claim(refund_id)
            if tenant_id is None:
                return False
            if not await self._budget.spend(uow, method):
                await uow.session.rollback()
                return False
        reach("billing.refund.claimed")
        async with self._store.for_tenant(tenant_id) as uow:
            refund = await uow.refunds.find(refund_id)
            assert refund is not None
            payment = await uow.payments.find(refund.payment_id)
            order = await uow.orders.find(refund.order_id)
            assert payment is not None
            assert order is not None
        provider = self._providers.get(method)
        if provider is None or refund.status not in SENT or refund.channel is not Channel.PROVIDER:
            return False
        state = await self._step(provider, refund, payment, order)
        async with self._store.for_tenant(tenant_id) as uow:
            await apply_refund_state(uow, refund_id, state, issuer=self._issuer)
            reach("billing.refund.applied")
        reach("billing.refund.committed")
        log.info("refund followed", extra={"refund_id": str(refund_id), "status": state.status.value})
        return True

    async def _step(self, provider: RefundingProvider, refund: Refund, payment: Payment, order: Order) -> RefundState:
        attempt, view = view_of(payment, order), refund_view(refund, payment)
        try:
            if refund.sent_at is not None:
                # It may have arrived the last time, whatever we heard: whoever repeats it blindly may pay it twice.
                state = await provider.observe_refund(attempt, view)
                if not state.not_received:
                    return state
            await self._sending(refund)
            reach("billing.refund.sending")
            return await self._send(provider, attempt, view)
        except ProviderError as error:
            log.warning("refund unanswered", extra={"refund_id": str(refund.id), "code": error.code})
            return RefundState(
                status=ProviderStatus.UNKNOWN,
                provider_status=error.code,
                reason_code=error.code,
                needs_operator=error.needs_operator,
            )

    async def _sending(self, refund: Refund) -> None:
        """Commit that the request is about to leave, so that every later step asks first."""
        async with self._store.for_tenant(refund.tenant_id) as uow:
            await uow.refunds.sending(refund)

    async def _send(self, provider: RefundingProvider, attempt: AttemptView, view: RefundView) -> RefundState:
        try:
            state = await provider.refund(attempt, view)
        except ProviderMisconfigured:
            raise
        except ProviderRefused as error:
            return RefundState(status=ProviderStatus.FAILED, provider_status=error.code, reason_code=error.code)
        reach("billing.refund.sent")
        return state


def refund_view(refund: Refund, payment: Payment) -> RefundView:
    """Return what an adapter may know of a refund."""
    reference = payment.provider_reference if payment.method is Method.MTN_MOMO else payment.receipt_reference
    return RefundView(
        refund_id=refund.id,
        request_id=refund.request_id,
        capture_reference=reference or "",
        amount=refund.amount,
        provider_reference=refund.provider_reference,
        refund_reference=refund.refund_reference,
    )
