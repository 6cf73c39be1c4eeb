"""A broker of each kind with the faults it can have, so that one test asks the same of both.

A fault that a kind can't have is replaced by the nearest one at the same step: without a connection, what is away is
the consumer's inbox.
"""

import asyncio
from typing import Any, Self

from common.messaging import Broker, Envelope, Subscriptions
from common.messaging.broker import Receive
from common.messaging.in_process import InProcessBroker
from common.messaging.rabbitmq import RabbitBroker, permissions
from common.messaging.refusal import Park
from common.testing import eventually

from hotel.cable import Cable

PASSWORD = "password-of-the-test"
USERS = ("hotel", "kitchen", "backup-engine", "gateway")


class InProcessNetwork:
    """One broker in this process, shared by all services."""

    kind = "in_process"
    url = "in-process:"

    def __init__(self) -> None:
        self._broker = InProcessBroker()
        self._plugged = True

    def broker(self, service: str) -> Broker:
        return _Plugged(self, self._broker)

    async def up(self) -> None:
        """Nothing to wait for."""

    def cut(self) -> None:
        """What is in hand is lost to the broker: to the relay, the delivery failed."""
        raise ConnectionResetError("cut")

    def pull(self) -> None:
        self._plugged = False

    async def plug(self) -> None:
        self._plugged = True

    def guarded(self, receive: Receive) -> Receive:
        async def reached(envelope: Envelope) -> None:
            if not self._plugged:
                raise ConnectionRefusedError("away")
            await receive(envelope)

        return reached


class _Plugged:
    """The shared broker; what it is told to call is away when the network is."""

    def __init__(self, network: InProcessNetwork, broker: InProcessBroker) -> None:
        self._network = network
        self._broker = broker

    def subscribe(self, subscriptions: Subscriptions, receive: Receive, park: Park) -> None:
        self._broker.subscribe(subscriptions, self._network.guarded(receive), park)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._broker, name)


class RabbitNetwork:
    """A virtual host of a real node with the product's users, and a cable to it."""

    kind = "rabbitmq"

    def __init__(self, vhost: Any) -> None:
        self.vhost = vhost
        self._cable = Cable(vhost.host, vhost.port)
        self._started: list[RabbitBroker] = []

    async def __aenter__(self) -> Self:
        await self._cable.plug()
        return self

    def url_for(self, user: str) -> str:
        return str(self.vhost.url_for(user, PASSWORD)).replace(f":{self.vhost.port}/", f":{self._cable.port}/")

    @property
    def url(self) -> str:
        return self.url_for("hotel")

    def broker(self, service: str) -> RabbitBroker:
        self._started.append(RabbitBroker(self.url_for(service), service))
        return self._started[-1]

    async def up(self) -> None:
        for broker in self._started:
            if broker._keeper is None:
                await broker.start()
        await eventually(lambda: all(broker.healthy() for broker in self._started), what="all bound")

    def cut(self) -> None:
        self._cable.cut()

    def pull(self) -> None:
        self._cable.pull()

    async def plug(self) -> None:
        await self._cable.plug()

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(broker.stop() for broker in self._started))
        await self._cable.close()


Network = InProcessNetwork | RabbitNetwork


def with_users(server: Any, name: str) -> Any:
    """Return a new virtual host in which each user may do what the product lets it."""
    vhost = server.add_vhost(name)
    for service in USERS:
        vhost.add_user(service, PASSWORD, **permissions(service))
    return vhost
