"""The broker of one process: publishing is inserting into each subscriber's inbox, so it is as durable as they are.

Work queues are in memory; after a restart the dispatcher sends ready tasks again, as it does for a lost message.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass

from common.messaging.broker import Receive, Unroutable
from common.messaging.envelope import Envelope
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


class InProcessBroker:
    """Broker port within one process; shared by all services of that process."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[Subscriptions, Receive]] = []
        self._queues: dict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue)

    async def start(self) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to close."""

    def healthy(self) -> bool:
        """Return True: there is nothing that could be away."""
        return True

    def subscribe(self, subscriptions: Subscriptions, receive: Receive) -> None:
        """Bind a consumer to its facts."""
        self._subscribers.append((subscriptions, receive))

    async def publish(self, envelope: Envelope) -> None:
        """Insert into every bound consumer's inbox; a failure of one leaves the fact in the outbox for all."""
        receivers = [receive for bound, receive in self._subscribers if bound.find(envelope.source, envelope.type)]
        if not receivers:
            raise Unroutable(envelope.type)
        for receive in receivers:
            await receive(envelope)

    async def send_task(self, queue: str, task_id: str) -> None:
        """Put a task's id on a queue in memory."""
        await self._queues[queue].put(task_id)

    async def tasks(self, queue: str) -> AsyncIterator[InProcessTask]:
        """Yield task messages one at a time."""
        source = self._queues[queue]
        while True:
            yield InProcessTask(await source.get(), source)
