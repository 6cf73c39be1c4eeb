"""The broker's connection as a part: started before those who publish, stopped after they have finished."""

import asyncio
from collections.abc import Callable

from common.messaging.broker import Broker


class BrokerPart:
    """First member of a worker's group; ready when the first connection stands.

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
