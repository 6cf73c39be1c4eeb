"""A process of the hotel that a test may kill: ``python -m hotel.process`` with its settings as JSON.

Its crash points are ``hotel.published`` (by the relay, not yet marked), ``hotel.stored`` (in the inbox, not yet
acknowledged) and ``hotel.applied`` (by the handler, not yet committed).
"""

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from common import crash_points
from common.clock import SystemClock
from common.crash_points import Deed, reach
from common.messaging import Envelope, relay
from common.messaging.in_process import InProcessBroker
from common.messaging.parts import BrokerPart
from common.messaging.rabbitmq import RabbitBroker
from common.parts import Group, run
from common.persistence import Database, Store
from common.settings import DatabaseSettings
from common.testing import ServiceDatabase

from hotel.line import Line
from hotel.service import UnitOfWork


def start_process(database: ServiceDatabase, broker_url: str, point: str = "") -> subprocess.Popen[bytes]:
    """Start relay, broker and inbox of the hotel, to be killed at ``point``."""
    told = {
        "database_url": database.settings.database_url,
        "database_password": database.settings.database_password.get_secret_value(),
        "broker_url": broker_url,
        "point": point,
    }
    return subprocess.Popen([sys.executable, "-m", __name__, json.dumps(told)], cwd=Path(__file__).parents[1])


class _Publishing:
    """The broker, with a point after each publish."""

    def __init__(self, broker: Any) -> None:
        self._broker = broker

    async def publish(self, envelope: Envelope) -> None:
        await self._broker.publish(envelope)
        reach("hotel.published")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


async def _main(told: dict[str, str]) -> None:
    relay.CLAIM = timedelta(seconds=1)  # The next relay waits for what a dead one had claimed.
    crash_points.arm({told["point"]: Deed.KILL} if told["point"] else {})
    settings = DatabaseSettings(database_url=told["database_url"], database_password=told["database_password"])  # type: ignore[arg-type]
    database = Database(settings, "hotel")
    url = told["broker_url"]
    broker = _Publishing(RabbitBroker(url, "hotel") if url.startswith("amqp") else InProcessBroker())
    line = Line(Store(database, UnitOfWork, SystemClock()), broker)

    async def receive(envelope: Envelope) -> None:
        await line.inbox.receive(envelope)
        reach("hotel.stored")

    line.bind(receive)
    try:
        await run([Group("worker", [BrokerPart(broker), line.relay, line.inbox])])
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(_main(json.loads(sys.argv[1])))
