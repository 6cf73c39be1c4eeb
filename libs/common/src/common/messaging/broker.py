"""The broker, as a port. Two implementations pass one conformance suite: `in_process` and `rabbitmq`."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

from common.messaging.envelope import Envelope
from common.messaging.refusal import Park
from common.messaging.subscriptions import Subscriptions

PREFETCH = 50
"""Facts of one consumer in hand at once: what a slow one holds in memory is bounded, the rest waits at its source."""

CONFIRM_SECONDS = 5.0
"""How long handing a fact over may take; half the relay's claim, so that its row is not sent by two."""

Receive = Callable[[Envelope], Awaitable[None]]
"""Stores an event durably in the consumer's inbox; only after it returns is the delivery acknowledged."""

Hear = Callable[[Envelope], None]
"""Takes a fact that may as well be missed; it must not fail."""


class BrokerUnavailable(Exception):
    """The broker can't be reached or did not confirm in time; the fact may or may not have arrived: send it again."""


class Unroutable(Exception):
    """Nobody is bound to this fact; it stays in the outbox."""


class TaskMessage(Protocol):
    """A message of a work queue: names a task, holds nothing else."""

    task_id: str

    async def ack(self) -> None:
        """Take the message off the queue; the runner does so as soon as it has claimed the task or can't."""

    async def give_back(self) -> None:
        """Put the message back for another runner."""


class Broker(Protocol):
    """Carries facts to inboxes, and the ids of ready tasks to runners."""

    async def start(self) -> None:
        """Connect and declare what this service owns; returns when the first connection stands."""

    async def stop(self) -> None:
        """Stop taking, let deliveries in progress finish, close."""

    def subscribe(self, subscriptions: Subscriptions, receive: Receive, park: Park) -> None:
        """Bind the consumer's queue to its facts; call it before `start`.

        Args:
            subscriptions: What it takes in.
            receive: Stores a fact.
            park: Stores, with its reason, a delivery that is no event or not its publisher's own.
        """

    def listen(self, facts: Iterable[tuple[str, str]], hear: Hear, missed: Callable[[], None]) -> None:
        """Hear facts as they pass, in this process alone and without an inbox; call it before `start`.

        For caches: what passes while the connection is away is lost.

        Args:
            facts: Source and event type (`tenancy`, `session.revoked.v1`) of each.
            hear: Told of each fact.
            missed: Told after each connection that facts may have passed unheard before.
        """

    async def publish(self, envelope: Envelope) -> None:
        """Hand a fact over; returning means that every bound consumer's copy is durable.

        Raises:
            Unroutable: Nobody is bound to it.
            BrokerUnavailable: It may or may not have arrived.
        """

    async def send_task(self, queue: str, task_id: str) -> None:
        """Put a task's id on a work queue; raises BrokerUnavailable."""

    def tasks(self, queue: str) -> AsyncIterator[TaskMessage]:
        """Yield task messages one at a time: the next one only when asked for."""

    def connected(self) -> bool:
        """Whether a fact can be handed over; what this service takes in may not be bound yet."""

    def healthy(self) -> bool:
        """Whether the connection stands and every queue is bound."""
