"""One consumer's deliveries from RabbitMQ: judged, stored durably, and only then acknowledged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPException

from common.crash_points import reach
from common.messaging.broker import Receive
from common.messaging.refusal import Delivery, Park, Refused
from common.messaging.topology import inbox_queue
from common.telemetry.metrics import EVENTS_REFUSED

log = logging.getLogger(__name__)

HOLD_SECONDS = 240.0
"""How long a delivery is held while the inbox can't be reached; then it goes back. Below five minutes."""

DRAIN_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 5.0


class Deliveries:
    """What one consumer does about each message.

    Args:
        consumer: Its name.
        receive: Stores a fact in its inbox.
        park: Stores a refused delivery there.
    """

    def __init__(self, consumer: str, receive: Receive, park: Park) -> None:
        self._consumer = consumer
        self._receive = receive
        self._park = park
        self._stopping = False
        self._in_hand: set[asyncio.Task[None]] = set()

    async def fresh(self, message: AbstractIncomingMessage) -> None:
        """Store an event; what is none, or forged, goes to the dead letters."""
        with self._holding():
            try:
                envelope = Delivery(message.body, message.user_id, message.exchange).envelope()
            except Refused as refused:
                EVENTS_REFUSED.labels(self._consumer, str(refused)).inc()
                log.error("delivery refused: %s (from user %s)", refused, message.user_id)  # noqa: TRY400
                await _settled(message.reject(requeue=False))
            else:
                await self._settle(message, partial(self._receive, envelope))

    async def dead(self, message: AbstractIncomingMessage) -> None:
        """Park a dead letter with its reason; a good event that was given back too often is stored after all."""
        with self._holding():
            delivery = Delivery(message.body, message.user_id, self._exchange_before(message))
            try:
                keep = partial(self._receive, delivery.envelope())
            except Refused as refused:
                keep = partial(self._park, delivery, str(refused))
            await self._settle(message, keep)

    async def stop(self) -> None:
        """Let what is in hand be stored; what can't be stored now goes back."""
        self._stopping = True
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=DRAIN_SECONDS)

    @contextmanager
    def _holding(self) -> Iterator[None]:
        task = asyncio.current_task()
        if task is not None:
            self._in_hand.add(task)
            task.add_done_callback(self._in_hand.discard)
        yield

    def _exchange_before(self, message: AbstractIncomingMessage) -> str | None:
        deaths = message.headers.get("x-death")
        for death in deaths if isinstance(deaths, list) else []:
            if isinstance(death, dict) and death.get("queue") == inbox_queue(self._consumer):
                return str(death.get("exchange"))
        return None

    async def _settle(self, message: AbstractIncomingMessage, keep: Callable[[], Awaitable[None]]) -> None:
        reach("common.delivery.received")
        if await self._kept(keep):
            reach("common.delivery.stored")
            await _settled(message.ack())
            reach("common.delivery.acknowledged")
        else:
            await _settled(message.nack(requeue=True))

    async def _kept(self, keep: Callable[[], Awaitable[None]]) -> bool:
        pause = 0.1
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLD_SECONDS):
                while True:
                    try:
                        await keep()
                    except Exception as error:  # noqa: BLE001
                        log.warning("cannot store a delivery: %s", error)
                    else:
                        return True
                    if self._stopping:
                        return False
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return False


async def _settled(answer: Awaitable[None]) -> None:
    """Tell the broker; where the connection is gone it delivers again, and the inbox recognises it."""
    with suppress(AMQPException, OSError, RuntimeError):
        await answer
