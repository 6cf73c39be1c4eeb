"""What stands in RabbitMQ (3.10 to 4.x): names, who may touch which, and how queues are declared.

Consumers' queues are quorum queues with an explicit delivery limit and a dead-letter exchange. What is rejected, or
given back too often, waits in the dead-letter queue until the consumer has stored it as a parked fact.
"""

from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractQueue

DELIVERY_LIMIT = 20
"""Redeliveries before a message is dead-lettered; RabbitMQ 4's own default, said aloud for 3.x."""

NO_DELIVERY_LIMIT = 1_000_000
"""For dead letters, which have no further place to go: RabbitMQ 4 would drop them after its default of 20."""

TASKS = "tasks.ready"
"""The exchange of work queues. Not the default exchange: who may write to that one reaches every queue there is."""


def exchange_of(service: str) -> str:
    """Return the name of a service's exchange."""
    return f"events.{service}"


def inbox_queue(consumer: str) -> str:
    """Return the name of a consumer's queue."""
    return f"inbox.{consumer}"


def heard_queue(service: str) -> str:
    """Return a name for the queue of one process that only listens."""
    return f"heard.{service}.{uuid4().hex}"


def dead_letters(queue: str) -> str:
    """Return the name of a queue's dead-letter exchange and queue."""
    return f"dead.{queue}"


def permissions(service: str) -> dict[str, str]:
    """Return what a service's broker user may do, as regular expressions for configure, write and read.

    It writes to its own exchange only, so nobody can publish another's facts; it reads all exchanges to bind. Nobody
    writes to ``amq.default``, which routes to any queue by its name.
    """
    own = rf"events\.{service}|inbox\.{service}|dead\.inbox\.{service}"
    more = {"backup-engine": r"|tasks\..+|dead\.tasks\..+", "gateway": r"|heard\.gateway\..+"}.get(service, "")
    return {
        "configure": f"^({own}{more})$",
        "write": f"^({own}{more})$",
        "read": rf"^(events\..+|inbox\.{service}|dead\.inbox\.{service}{more})$",
    }


async def declare_queue(channel: AbstractChannel, name: str) -> tuple[AbstractQueue, AbstractQueue]:
    """Declare a quorum queue and the queue of its dead letters; the same again changes nothing."""
    exchange = await channel.declare_exchange(dead_letters(name), aio_pika.ExchangeType.FANOUT, durable=True)
    dead = await channel.declare_queue(dead_letters(name), durable=True, arguments=_quorum(NO_DELIVERY_LIMIT))
    await dead.bind(exchange)
    further = {
        "x-dead-letter-exchange": exchange.name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return await channel.declare_queue(name, durable=True, arguments=_quorum(DELIVERY_LIMIT) | further), dead


async def declare_work_queue(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Declare a queue of tasks, which `TASKS` routes to by its name."""
    exchange = await channel.declare_exchange(TASKS, aio_pika.ExchangeType.DIRECT, durable=True)
    queue, _dead = await declare_queue(channel, name)
    await queue.bind(exchange, routing_key=name)
    return queue


def _quorum(delivery_limit: int) -> dict[str, Any]:
    return {"x-queue-type": "quorum", "x-delivery-limit": delivery_limit}
