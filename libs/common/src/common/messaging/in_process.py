"""The broker of one process: publishing is inserting into each subscriber's inbox, so it is as durable as they are.

Work queues are in memory; after a restart the dispatcher sends ready tasks again, as it does for a lost message.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from common.messaging.broker import CONFIRM_SECONDS, PREFETCH, BrokerUnavailable, Hear, Receive, Unroutable
from common.messaging.envelope import Envelope
from common.messaging.refusal import Park
from common.messaging.subscriptions import Subscriptions


@dataclass(slots=True)
class InProcessTask:
    """A task message in memory."""

    task_id: str
    queue: asyncio.Queue[str]

    async def ack(self) -> None:
        self.queue.task_done()

    async def give_back(self) -> None:
        self.queue.task_done()
        await self.queue.put(self.task_id)


@dataclass(slots=True)
class _Consumer:
    """One consumer, which has at most ``PREFETCH`` facts in hand."""

    subscriptions: Subscriptions
    receive: Receive
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PREFETCH))

    async def take(self, envelope: Envelope) -> None:
        async with asyncio.timeout(CONFIRM_SECONDS), self.free:
            await self.receive(envelope)


class InProcessBroker:
    """Broker port within one process; shared by all services of that process, which have one user: the process."""

    def __init__(self) -> None:
        self._consumers: list[_Consumer] = []
        self._listeners: list[tuple[frozenset[tuple[str, str]], Hear]] = []
        self._queues: dict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue)

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to close."""

    def connected(self) -> bool:
        """Return True: there is nothing to connect to."""
        return True

    def healthy(self) -> bool:
        """Return True: there is nothing that could be away."""
        return True

    def subscribe(self, subscriptions: Subscriptions, receive: Receive, park: Park | None = None) -> None:  # noqa: ARG002
        """Bind a consumer to its facts. Nothing is parked here: what is handed over is an event, by its type."""
        self._consumers.append(_Consumer(subscriptions, receive))

    def listen(self, facts: Iterable[tuple[str, str]], hear: Hear, missed: Callable[[], None]) -> None:  # noqa: ARG002
        """Hear facts as they pass. None is ever missed: who publishes is in this process."""
        self._listeners.append((frozenset(facts), hear))

    async def publish(self, envelope: Envelope) -> None:
        """Insert into every bound consumer's inbox at once; one that fails or hangs doesn't keep it from the others."""
        takers = [one for one in self._consumers if one.subscriptions.find(envelope.source, envelope.type)]
        listeners = [hear for facts, hear in self._listeners if (envelope.source, envelope.type) in facts]
        if not takers and not listeners:
            raise Unroutable(envelope.type)
        for hear in listeners:
            hear(envelope)
        outcomes = await asyncio.gather(*(taker.take(envelope) for taker in takers), return_exceptions=True)
        for taker, outcome in zip(takers, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                reason = f"{taker.subscriptions.consumer}: {type(outcome).__name__}: {outcome}"
                raise BrokerUnavailable(reason) from outcome

    async def send_task(self, queue: str, task_id: str) -> None:
        """Put a task's id on a queue in memory."""
        await self._queues[queue].put(task_id)

    async def tasks(self, queue: str) -> AsyncIterator[InProcessTask]:
        """Yield task messages one at a time."""
        source = self._queues[queue]
        while True:
            yield InProcessTask(await source.get(), source)
