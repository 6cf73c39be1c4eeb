"""Speak with payment providers: record the intent, call, record the outcome; no call inside a transaction.

`Checkout.start` asks for a payment, `Checkout.ask` asks where it stands. Webhook, callback, the customer's return and
the janitor all end in `ask`; who may ask is decided by one UPDATE (``persistence.polling``).
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from common.clock import Clock
from common.crash_points import reach
from common.telemetry.context import span

from billing.domain.invoice import Issuer
from billing.domain.order import Order
from billing.domain.payment import ESCALATE_AFTER, POLL_PAUSES, Payment
from billing.domain.plan import Method
from billing.persistence.unit_of_work import BillingStore, UnitOfWork
from billing.ports import (
    AttemptView,
    PaymentProvider,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderState,
    ProviderStatus,
    ProviderUnavailable,
    Started,
)
from billing.usecases.apply_provider_state import apply_provider_state
from billing.workflows.budget import Budget

log = logging.getLogger(__name__)

RESTART_WITHIN = {Method.MTN_MOMO: timedelta(minutes=5), Method.PAYPAL: timedelta(hours=3)}
"""How long after its row was made a request that never arrived is sent again with the same keys: as long as the payer
may still be at it (MoMo's approval window; PayPal's time to send the payer)."""


def view_of(payment: Payment, order: Order) -> AttemptView:
    """Return what an adapter may know of an attempt."""
    return AttemptView(
        payment_id=payment.id,
        reference=payment.reference,
        amount=payment.charged,
        created_at=payment.created_at,
        provider_reference=payment.provider_reference,
        create_request_id=payment.create_request_id,
        capture_request_id=payment.capture_request_id,
        description=f"ESXi Backup Manager {order.plan.display_name}",
        language=payment.language,
        return_url=payment.return_url,
        cancel_url=payment.cancel_url,
        phone_number=payment.phone_number,
        callback_token=payment.callback_token,
    )


class Checkout:
    """The providers of this deployment, and how their answers reach the rows.

    Args:
        store: The three doors.
        providers: By method; a method without a provider is never asked about.
        issuer: Who issues the invoices.
        clock: The time.
        budget: How often providers are asked.
    """

    def __init__(
        self,
        store: BillingStore,
        providers: Mapping[Method, PaymentProvider],
        issuer: Issuer,
        clock: Clock,
        budget: Budget,
    ) -> None:
        self._store = store
        self._providers = providers
        self._issuer = issuer
        self._clock = clock
        self._budget = budget

    @property
    def issuer(self) -> Issuer:
        """Who issues the invoices."""
        return self._issuer

    def provider(self, method: Method) -> PaymentProvider | None:
        """Return the provider of a method, if this deployment has one."""
        return self._providers.get(method)

    async def _load(self, tenant_id: UUID, payment_id: UUID) -> tuple[Payment, Order]:
        async with self._store.for_tenant(tenant_id) as uow:
            payment = await uow.payments.find(payment_id)
            assert payment is not None
            order = await uow.orders.find(payment.order_id)
            assert order is not None
            return payment, order

    async def claim(self, payment_id: UUID, method: Method, *, gap: timedelta | None = None) -> UUID | None:
        """Take the right to ask about an attempt.

        Returns:
            Its tenant; ``None`` where it is not due, somebody else asks, or the provider's budget is used up.
        """
        async with self._store.for_system("janitor") as uow:
            claimed = await uow.polling.claim(payment_id, gap=gap)
            if claimed is None:
                return None
            if not await self._budget.spend(uow, method):
                await uow.session.rollback()
                return None
        reach("billing.question.claimed")
        return claimed.tenant_id

    async def start(self, payment: Payment, order: Order) -> tuple[ProviderState, Payment]:
        """Ask the provider for a payment whose row is committed. Repeating it makes no second payment.

        Args:
            payment: The attempt.
            order: What it pays.

        Returns:
            What the provider said, and the attempt after that was applied.
        """
        view = view_of(payment, order)
        state = await self._try_start(self._providers[payment.method], view)
        async with self._applying(payment, view, state) as uow:
            if state.status is not ProviderStatus.FAILED:
                await uow.payments.schedule(payment.id, self._clock.now() + POLL_PAUSES[0])
            started = await uow.payments.find(payment.id)
            assert started is not None
        return state, started

    async def _try_start(self, provider: PaymentProvider, view: AttemptView) -> ProviderState:
        try:
            started: Started = await provider.start(view)
            reach("billing.provider.started")
        except ProviderUnavailable as error:
            log.warning("start unanswered", extra={"payment_id": str(view.payment_id), "code": error.code})
            return ProviderState(status=ProviderStatus.UNKNOWN, provider_status=error.code)
        except (ProviderRefused, ProviderMisconfigured) as error:
            log.warning("start refused", extra={"payment_id": str(view.payment_id), "code": error.code})
            return ProviderState(
                status=ProviderStatus.FAILED,
                provider_status=error.code,
                reason_code=error.code,
                needs_operator=error.needs_operator,
            )
        return ProviderState(
            status=ProviderStatus.PENDING,
            provider_status="started",
            provider_reference=started.provider_reference,
            redirect_url=started.redirect_url,
        )

    async def ask(self, tenant_id: UUID, payment_id: UUID) -> None:
        """Ask the provider where an attempt stands and apply the answer; a claim was taken before."""
        payment, order = await self._load(tenant_id, payment_id)
        provider = self._providers.get(payment.method)
        if provider is None or payment.next_poll_at is None:
            return
        with span("ask provider", fields={"tenant_id": str(tenant_id)}, **payment.trace):
            await self._observe(provider, payment, order)

    async def _observe(self, provider: PaymentProvider, payment: Payment, order: Order) -> None:
        view = view_of(payment, order)
        try:
            state = await provider.observe(view)
        except ProviderUnavailable as error:
            state = ProviderState(status=ProviderStatus.UNKNOWN, provider_status=error.code)
        except ProviderMisconfigured as error:
            state = ProviderState(status=ProviderStatus.UNKNOWN, provider_status=error.code, needs_operator=True)
        reach("billing.provider.observed")
        if state.not_received:
            state = await self._start_again(provider, payment, view)
        async with self._applying(payment, view, state) as uow:
            await self._escalate(uow, payment)

    async def _start_again(self, provider: PaymentProvider, payment: Payment, view: AttemptView) -> ProviderState:
        """Repeat a start that never arrived, with its keys, while the payer may still be waiting for it."""
        too_late = self._clock.now() - payment.created_at > RESTART_WITHIN[payment.method]
        if too_late or not payment.is_offered:
            return ProviderState(
                status=ProviderStatus.FAILED, provider_status="not_received", reason_code="not_received"
            )
        return await self._try_start(provider, view)

    @asynccontextmanager
    async def _applying(self, payment: Payment, view: AttemptView, state: ProviderState) -> AsyncIterator[UnitOfWork]:
        """Apply an answer in a transaction that the block may add to."""
        payee = self._providers[payment.method].payee
        async with self._store.for_tenant(payment.tenant_id) as uow:
            await apply_provider_state(uow, view, payment.order_id, state, issuer=self._issuer, payee=payee)
            yield uow
            reach("billing.state.applied")
        log.info("provider answered", extra={"payment_id": str(payment.id), "status": state.status.value})
        reach("billing.state.committed")

    async def _escalate(self, uow: UnitOfWork, payment: Payment) -> None:
        if self._clock.now() - payment.created_at < ESCALATE_AFTER:
            return
        current = await uow.payments.find(payment.id)
        if current is not None and current.is_watched:
            await uow.cases.open(current, "overdue", {"status": current.status.value})
