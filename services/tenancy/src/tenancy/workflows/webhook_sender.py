"""Sends what is due to customers: claim, send outside of any transaction, write down what came of it.

A process that dies in between leaves a claim that runs out, and the message goes again under the same id.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.crash_points import reach
from common.messaging.wakeup import Wakeup
from common.persistence import Store
from cryptography.exceptions import InvalidTag
from prometheus_client import Counter, Gauge, Histogram

from tenancy.domain.webhook_signatures import signed_headers
from tenancy.domain.webhooks import Delivery, Heard, Message
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.persistence.webhook_claims import Claim
from tenancy.ports import Letters, Sealer, WebhookReceivers
from tenancy.usecases.record_webhook_attempt import record_attempt

log = logging.getLogger(__name__)

PLACES = 50
"""Messages on their way at once, of all organizations; they wait for others most of the time."""

POLL_SECONDS = 1.0
"""How late a retry may start; what is new is told of by NOTIFY."""

WRITING = (timedelta(milliseconds=200), timedelta(seconds=2), timedelta(seconds=8))
"""Pauses between tries to write down what came of a message: with what sending may take, far less than a claim."""

KEPT = timedelta(days=30)
"""How long what has ended can be read and replayed."""

SENT = Counter("webhooks_sent_total", "Tries to deliver a webhook, by what came of it", ["outcome"])
SECONDS = Histogram(
    "webhook_seconds", "Time of one try to deliver a webhook", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20)
)
IN_HAND = Gauge("webhooks_in_hand", "Webhooks that this process is sending")
DUE = Gauge("webhooks_due", "Webhooks that are due or on their way")
OLDEST = Gauge("webhooks_oldest_due_seconds", "For how long the oldest of them has been due")


@dataclass(frozen=True, slots=True)
class _Due:
    """A claimed message, and what is sent of it; ``unsent`` where nothing can be, and why."""

    claim: Claim
    delivery: Delivery
    message: Message
    unsent: Heard | None = None


@dataclass
class WebhookSender:
    """Part of the worker.

    Attributes:
        store: the service's doors.
        sealer: opens the endpoints' secrets.
        letters: writes to whoever's endpoint is switched off.
        receivers: where messages go.
    """

    store: Store[UnitOfWork]
    sealer: Sealer
    letters: Letters
    receivers: WebhookReceivers
    name: str = "webhooks"
    _in_hand: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Send until `stop`; what is in hand is finished first, which takes as long as one try may."""
        async with Wakeup(self.store.database, "courier", "webhooks") as wakeup, asyncio.TaskGroup() as group:
            ready()
            while not stop.is_set():
                if not await self._begin(group):
                    await self._pause(stop, wakeup)

    async def turn(self) -> int:
        """Send what is due until nothing is; return how many messages were claimed."""
        sent = 0
        async with asyncio.TaskGroup() as group:
            while begun := await self._begin(group):
                sent += begun
                while len(self._in_hand) >= PLACES:
                    await asyncio.wait(set(self._in_hand), return_when=asyncio.FIRST_COMPLETED)
        return sent

    async def _begin(self, group: asyncio.TaskGroup) -> int:
        """Claim for the places that are free; return how many messages there were."""
        places = PLACES - len(self._in_hand)
        try:
            claims = await self._claim(places) if places else []
        except Exception:
            log.exception("due webhooks not reachable")
            return 0
        if claims:
            reach("tenancy.webhook.claimed")
        for claim in claims:
            task = group.create_task(self._deliver(claim), name=f"webhook-{claim.delivery_id}")
            self._in_hand.add(task)
            task.add_done_callback(self._settled)
        IN_HAND.set(len(self._in_hand))
        return len(claims)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        IN_HAND.set(len(self._in_hand))

    async def _pause(self, stop: asyncio.Event, wakeup: Wakeup) -> None:
        """Wait for something new, for the end of something in hand, or for a while."""
        waking = asyncio.ensure_future(wakeup.wait(stop, timeout_seconds=POLL_SECONDS))
        await asyncio.wait({waking, *self._in_hand}, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        await asyncio.gather(waking, return_exceptions=True)

    async def _claim(self, places: int) -> list[Claim]:
        async with self.store.for_system("courier") as uow:
            return await uow.webhook_claims.take(places)

    async def _deliver(self, claim: Claim) -> None:
        """Send one message and write down what came of it. What fails here leaves the claim to run out."""
        try:
            due = await self._load(claim)
            if due is None:
                return
            began, at = time.monotonic(), self.store.clock.now()
            heard = due.unsent or await self.receivers.post(due.message)
            reach("tenancy.webhook.sent")
            await self._settle(due, heard, at, time.monotonic() - began)
            reach("tenancy.webhook.recorded")
        except Exception:
            SENT.labels("unrecorded").inc()
            log.exception("webhook %s not settled", claim.delivery_id)

    async def _load(self, claim: Claim) -> _Due | None:
        async with self.store.for_tenant(claim.tenant_id) as uow:
            delivery = await uow.webhook_deliveries.claimed(
                claim.tenant_id, claim.delivery_id, claim.claim_id, lock=False
            )
            if delivery is None:
                return None
            endpoint = await uow.webhook_endpoints.get(claim.tenant_id, delivery.endpoint_id)
            if endpoint is None or not endpoint.enabled:
                return None
            sealed = await uow.webhook_endpoints.secrets(claim.tenant_id, endpoint.id)
            body = await uow.webhook_deliveries.body(delivery)
        now = self.store.clock.now()
        try:
            secrets = [self.sealer.open(one, endpoint.id) for one in sealed.in_force(now)]
        except InvalidTag:
            # Sealed with a key that is no more: a try like others, so that it ends and the owner hears of it.
            log.exception("secret of webhook endpoint %s does not open", endpoint.id)
            return _Due(claim, delivery, Message(endpoint.url, body, {}), Heard(error="secret_unreadable"))
        headers = signed_headers(secrets, str(delivery.message_id), now, body)
        headers |= {"content-type": "application/json"}
        return _Due(claim, delivery, Message(endpoint.url, body, headers))

    async def _settle(self, due: _Due, heard: Heard, at: datetime, seconds: float) -> None:
        """Write down what came of it, again where the database is away for a moment: else what a receiver has taken is
        sent to it twice. A try that was written down without our hearing so finds the claim gone.
        """
        for pause in WRITING:
            try:
                return await self._record(due, heard, at, seconds)
            except Exception:
                log.warning("webhook %s not written down yet", due.claim.delivery_id, exc_info=True)
                await asyncio.sleep(pause.total_seconds())
        return await self._record(due, heard, at, seconds)

    async def _record(self, due: _Due, heard: Heard, at: datetime, seconds: float) -> None:
        claim, head = due.claim, "\n".join(f"{name}: {value}" for name, value in due.message.headers.items())
        async with self.store.for_tenant(claim.tenant_id) as uow:
            stands = await record_attempt(
                uow,
                self.letters,
                due.delivery,
                claim.claim_id,
                heard,
                at=at,
                duration_ms=round(seconds * 1000),
                request_head=f"POST {due.message.url}\n{head}",
            )
        SECONDS.observe(seconds)
        SENT.labels("taken over" if stands is None else "delivered" if heard.taken else "failed").inc()
        log.info(
            "webhook %s", "delivered" if heard.taken else "not delivered",
            extra={
                "tenant_id": str(claim.tenant_id), "delivery_id": str(claim.delivery_id),
                "event_type": due.delivery.event_type, "status": heard.status, "error": heard.error,
            },
        )  # fmt: skip

    async def look(self) -> None:
        """Timer of the worker: tell how much is due."""
        async with self.store.for_system("courier") as uow:
            messages, oldest = await uow.webhook_claims.backlog()
        DUE.set(messages)
        OLDEST.set(oldest)

    async def forget(self) -> int:
        """Timer of the worker: delete what has ended longer ago than `KEPT`; return how many rows."""
        return await self._until_none(lambda uow: uow.webhook_claims.forget(uow.clock.now() - KEPT))

    async def clear(self) -> int:
        """Timer of the worker: delete what is left of endpoints that are deleted; return how many rows."""
        return await self._until_none(lambda uow: uow.webhook_claims.clear())

    async def _until_none(self, some: Callable[[UnitOfWork], Awaitable[int]]) -> int:
        """Do something in transactions of its own until there is nothing left to do."""
        done = 0
        while True:
            async with self.store.for_system("courier") as uow:
                went = await some(uow)
            done += went
            if not went:
                return done
