"""Events as parts: the broker's connection, and what each worker runs about outbox and inbox."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any

from common.audit import sealer
from common.idempotency import forget_keys
from common.messaging.broker import Broker
from common.messaging.depths import Depths
from common.messaging.inbox import InboxWorker
from common.messaging.rabbitmq import RabbitBroker
from common.messaging.relay import Relay
from common.messaging.subscriptions import Subscriptions
from common.parts import Every, Group, Part
from common.persistence import Store, erasure
from common.settings import BrokerSettings

HOUSEKEEPING = timedelta(hours=1)
"""Pause between two removals of what was published or handled long ago."""

DEPTHS = timedelta(seconds=5)
"""Pause between two looks at how much waits; several to a scrape (15 to 60 s)."""


class BrokerPart:
    """First member of a group: started before those who publish, stopped after they have finished.

    It is ready when the first connection stands.

    Args:
        broker: Whose connection this part keeps.
    """

    name = "broker"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Keep the connection until ``stop``."""
        starting = asyncio.create_task(self._broker.start())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                ready()
            await stopping
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._broker.stop()


async def broker_check(broker: Broker) -> str | None:
    """Readiness check: the connection stands and every queue is bound."""
    return None if broker.healthy() else "not connected, or a queue is not bound yet"


def rabbit_of(settings: BrokerSettings, name: str) -> Broker:
    """Return the broker of a process that was handed none.

    Raises:
        ValueError: There is no ``broker_url`` either.
    """
    if settings.broker_url is None:
        raise ValueError(f"{settings.model_config.get('env_prefix', '')}BROKER_URL is not set")
    return RabbitBroker(settings.broker_url.get_secret_value(), name)


def connected(name: str, broker: Broker, members: Iterable[Part], *, own: bool) -> Group:
    """Group parts that use a broker.

    Args:
        name: Of the group.
        broker: What they use.
        members: The parts.
        own: Whether the broker is this service's own; one that was handed in is started and stopped by its giver.
    """
    return Group(name, [BrokerPart(broker), *members] if own else members)


def event_parts(
    name: str,
    store: Store[Any],
    broker: Broker,
    subscriptions: Subscriptions,
    *,
    audit: sealer.Sealer,
    eraser: erasure.Eraser,
) -> list[Part]:
    """Return what each worker runs about events: relay, inbox, the audit log's sealer, timers that look and forget.

    Args:
        name: The service; its timers are named after it.
        store: Its doors.
        broker: Where its facts go and those of others come from.
        subscriptions: What it takes in.
        audit: Seals its audit log, and tells of what is in there.
        eraser: Erases organizations that were deleted.
    """
    relay, inbox = Relay(store.database, broker), InboxWorker(store, subscriptions)
    broker.subscribe(subscriptions, inbox.receive, inbox.park)
    return [
        relay,
        inbox,
        Every(f"{name}.depths", DEPTHS, Depths(store).look, None),
        Every(f"{name}.audit", sealer.PAUSE, audit.seal, store.database),
        Every(f"{name}.audit_heads", HOUSEKEEPING, audit.keep_heads, store.database),
        Every(f"{name}.erasures", erasure.PAUSE, eraser.turn, store.database),
        Every(f"{name}.outbox", HOUSEKEEPING, relay.forget_published, store.database),
        Every(f"{name}.idempotency", HOUSEKEEPING, partial(forget_keys, store), store.database),
        Every(f"{name}.inbox", HOUSEKEEPING, inbox.forget_handled, store.database),
    ]
