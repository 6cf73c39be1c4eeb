"""The worker's side of payments: ask about what is due, handle stored webhooks."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from common.crash_points import reach

from billing.domain.payment import MINIMUM_GAP
from billing.domain.plan import Method
from billing.persistence.unit_of_work import BillingStore
from billing.persistence.webhooks import RawEvent
from billing.ports import ProviderError, WebhookEvent
from billing.workflows.checkout import Checkout
from billing.workflows.taking_back import TakingBack

log = logging.getLogger(__name__)

BATCH = 50
TAKEN_BACK = frozenset({"PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED"})
"""Events about money that has left us again."""

AT_ONCE = 8
"""Questions in flight at once from one worker."""


class Watch:
    """What a worker does about payments between requests; safe to run in any number of processes.

    Args:
        store: The three doors.
        checkout: Speaks with the providers.
        taking_back: Reads disputes and reversals.
        read: Tells which payment a stored webhook is about.
    """

    def __init__(
        self,
        store: BillingStore,
        checkout: Checkout,
        taking_back: TakingBack,
        read: Callable[[bytes], WebhookEvent],
    ) -> None:
        self._store = store
        self._checkout = checkout
        self._taking_back = taking_back
        self._read = read

    async def ask_due(self) -> int:
        """Ask about every attempt whose time has come, as far as the budgets allow; return how many were asked."""
        async with self._store.for_system("janitor") as uow:
            due = await uow.polling.due(BATCH)
        gate = asyncio.Semaphore(AT_ONCE)
        results = await asyncio.gather(
            *(self._ask(gate, payment_id, Method(method)) for payment_id, method in due), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                log.error("question failed", exc_info=result)
        return sum(1 for result in results if result is True)

    async def _ask(self, gate: asyncio.Semaphore, payment_id: UUID, method: Method) -> bool:
        async with gate:
            tenant_id = await self._checkout.claim(payment_id, method)
            if tenant_id is None:
                return False
            await self._checkout.ask(tenant_id, payment_id)
            return True

    async def handle_webhooks(self) -> int:
        """Handle stored webhooks one after the other; return how many."""
        handled = 0
        while True:
            async with self._store.for_system("webhook") as uow:
                event = await uow.webhooks.take()
            if event is None:
                return handled
            reach("billing.webhook.taken")
            try:
                outcome = await self._handle(event)
            except ProviderError as error:
                # Not done: it is taken again after a while, and the others need not wait for it.
                log.warning("webhook unanswered", extra={"event_id": event.event_id, "code": error.code})
                continue
            reach("billing.webhook.handled")
            async with self._store.for_system("webhook") as uow:
                await uow.webhooks.done(event, outcome)
            handled += 1

    async def _handle(self, event: RawEvent) -> str:
        """Find the attempt and ask PayPal itself; nothing that the event says is believed."""
        about = self._read(event.body)
        async with self._store.for_system("webhook") as uow:
            found = await uow.hints.by_provider(
                Method.PAYPAL, about.order_reference, about.capture_reference, payment_id=about.payment_id
            )
        if found is None:
            return "no attempt of ours"
        if about.dispute_reference is not None:
            return await self._taking_back.dispute(found.tenant_id, found.payment_id, about.dispute_reference)
        if event.event_type in TAKEN_BACK:
            reversed_ = event.event_type == "PAYMENT.CAPTURE.REVERSED"
            return await self._taking_back.movements(found.tenant_id, found.payment_id, reversed_=reversed_)
        tenant_id = await self._checkout.claim(found.payment_id, Method.PAYPAL, gap=MINIMUM_GAP)
        if tenant_id is None:
            async with self._store.for_system("webhook") as uow:
                due_at = await uow.hints.hasten(found.payment_id)
            return "asked soon" if due_at else "settled already"
        await self._checkout.ask(tenant_id, found.payment_id)
        return "asked"
