"""The broker over RabbitMQ (3.10 to 4.x).

Each service connects as its own user and publishes to its own topic exchange ``events.<service>`` with publisher
confirms and ``mandatory``, so that a fact nobody is bound to is an error. Consumers' queues are quorum queues with
an explicit delivery limit and a dead-letter exchange. Reconnection is here, not in aio-pika's robust mode, whose
publish hangs while the broker is away (https://github.com/mosquito/aio-pika/issues/632).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage
from aio_pika.exceptions import AMQPException, DeliveryError, PublishError
from pydantic import ValidationError

from common.messaging.broker import BrokerUnavailable, Receive, Unroutable
from common.messaging.envelope import Envelope
from common.messaging.subscriptions import Subscriptions
from common.telemetry.metrics import EVENTS_REFUSED

log = logging.getLogger(__name__)

DELIVERY_LIMIT = 20
"""Redeliveries before a message is dead-lettered; RabbitMQ 4's own default, said aloud for 3.x."""

CONFIRM_SECONDS = 5.0
CONNECT_SECONDS = 10.0
STORE_PATIENCE_SECONDS = 240.0
"""How long a delivery is held while the inbox can't be reached; then it goes back. Below five minutes."""

PREFETCH = 50

QUORUM: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}


def exchange_of(service: str) -> str:
    """Return the name of a service's exchange."""
    return f"events.{service}"


def inbox_queue(consumer: str) -> str:
    """Return the name of a consumer's queue."""
    return f"inbox.{consumer}"


def dead_letters(queue: str) -> str:
    """Return the name of a queue's dead-letter exchange and queue."""
    return f"dead.{queue}"


def permissions(service: str) -> dict[str, str]:
    """Return what a service's broker user may do, as regular expressions for configure, write and read.

    It writes to its own exchange only, so nobody can publish another's facts; it reads all exchanges to bind.
    """
    own = rf"^(events\.{service}|inbox\.{service}|dead\.inbox\.{service}"
    tasks = r"|tasks\..+|dead\.tasks\..+" if service == "backup-engine" else ""
    return {
        "configure": f"{own}{tasks})$",
        "write": f"{own}{tasks}{r'|amq.default' if tasks else ''})$",
        "read": rf"^(events\..+|inbox\.{service}|dead\.inbox\.{service}{tasks})$",
    }


@dataclass(slots=True)
class RabbitTask:
    """A message of a work queue, unacknowledged until the runner has claimed the task."""

    task_id: str
    message: AbstractIncomingMessage

    async def ack(self) -> None:
        await self.message.ack()

    async def give_back(self) -> None:
        await self.message.nack(requeue=True)


@dataclass(slots=True)
class _Link:
    """What one connection consists of."""

    connection: AbstractConnection
    publishing: AbstractChannel
    exchange: AbstractExchange


class RabbitBroker:
    """Broker port over one connection, made again whenever it is lost.

    Args:
        url: ``amqp://user:password@host:port/vhost``; the user is the service's own.
        service: The service's name, which is its broker user's name and its events' ``source``.
    """

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._bound: list[tuple[Subscriptions, Receive]] = []
        self._link: _Link | None = None
        self._up = asyncio.Event()
        self._consuming = asyncio.Event()
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None
        self._deliveries: set[asyncio.Task[None]] = set()

    def subscribe(self, subscriptions: Subscriptions, receive: Receive) -> None:
        """Bind a consumer's queue when connected."""
        self._bound.append((subscriptions, receive))

    def healthy(self) -> bool:
        """Whether the connection stands and every queue is bound and consumed."""
        return self._up.is_set() and (self._consuming.is_set() or not self._bound)

    async def start(self) -> None:
        """Connect and go on reconnecting in the background; returns when the first connection stands."""
        self._keeper = asyncio.create_task(self._keep_connected(), name=f"rabbitmq-{self._service}")
        up = asyncio.create_task(self._up.wait())
        done, _ = await asyncio.wait({self._keeper, up}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._keeper in done:
            self._keeper.result()

    async def stop(self) -> None:
        """Stop consuming, let deliveries in hand be stored, close."""
        self._stopping = True
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=10)
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        await self._drop()

    async def _drop(self) -> None:
        link, self._link = self._link, None
        self._up.clear()
        self._consuming.clear()
        if link is not None:
            with suppress(Exception):
                await asyncio.wait_for(link.connection.close(), 5)

    async def _keep_connected(self) -> None:
        pause = 0.2
        while not self._stopping:
            try:
                link = await self._connect()
                pause = 0.2
                await self._consume_until_closed(link)
            except (AMQPException, OSError, TimeoutError) as error:
                log.warning("broker away (%s: %s), next try in %.1f s", type(error).__name__, error, pause)
            finally:
                await self._drop()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _connect(self) -> _Link:
        connection = await aio_pika.connect(
            self._url, timeout=CONNECT_SECONDS, client_properties={"connection_name": self._service}
        )
        publishing = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await publishing.declare_exchange(
            exchange_of(self._service), aio_pika.ExchangeType.TOPIC, durable=True
        )
        self._link = _Link(connection, publishing, exchange)
        self._up.set()
        return self._link

    async def _consume_until_closed(self, link: _Link) -> None:
        closed = asyncio.ensure_future(link.connection.closed())
        consuming = asyncio.create_task(self._consume(link))
        try:
            await asyncio.wait({closed, consuming}, return_when=asyncio.FIRST_COMPLETED)
            if consuming.done():
                consuming.result()
                await closed
        finally:
            consuming.cancel()
            closed.cancel()
            await asyncio.gather(consuming, closed, return_exceptions=True)

    async def _consume(self, link: _Link) -> None:
        for subscriptions, receive in self._bound:
            channel = await link.connection.channel()
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await declare_quorum(channel, inbox_queue(subscriptions.consumer))
            for subscription in subscriptions.all():
                await self._bind(link, queue.name, subscription.source, subscription.type)

            async def on_message(message: AbstractIncomingMessage, receive: Receive = receive) -> None:
                task = asyncio.current_task()
                if task is not None:
                    self._deliveries.add(task)
                    task.add_done_callback(self._deliveries.discard)
                await self._deliver(message, receive)

            await queue.consume(on_message)
        self._consuming.set()

    async def _bind(self, link: _Link, queue: str, source: str, event_type: str) -> None:
        """Bind to another's exchange, which may not be declared yet; a refusal closes the channel, so each has one."""
        while True:
            channel = await link.connection.channel()
            try:
                bound = await channel.get_queue(queue, ensure=False)
                await bound.bind(exchange_of(source), routing_key=event_type)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                await asyncio.sleep(0.3)
            else:
                return
            finally:
                with suppress(Exception):
                    await channel.close()

    async def _deliver(self, message: AbstractIncomingMessage, receive: Receive) -> None:
        try:
            envelope = Envelope.model_validate_json(message.body)
        except ValidationError:
            await self._refuse(message, "not an event")
            return
        if message.user_id != envelope.source or message.exchange != exchange_of(envelope.source):
            await self._refuse(message, "source is not the publishing user")
            return
        if await self._store(envelope, receive):
            await message.ack()
        else:
            await message.nack(requeue=True)

    async def _store(self, envelope: Envelope, receive: Receive) -> bool:
        pause, deadline = 0.1, asyncio.get_running_loop().time() + STORE_PATIENCE_SECONDS
        while True:
            try:
                await receive(envelope)
            except Exception as error:  # noqa: BLE001
                log.warning("cannot store %s: %s", envelope.id, error)
                if self._stopping or asyncio.get_running_loop().time() > deadline:
                    return False
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return True

    async def _refuse(self, message: AbstractIncomingMessage, reason: str) -> None:
        EVENTS_REFUSED.labels(self._service, reason).inc()
        log.error("delivery refused: %s (from user %s)", reason, message.user_id)
        await message.reject(requeue=False)

    async def publish(self, envelope: Envelope) -> None:
        """Publish with confirm; see the port for what is raised."""
        body = aio_pika.Message(
            envelope.model_dump_json().encode(),
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(envelope.id),
            user_id=self._service,
            type=envelope.type,
            headers={"tenant_id": str(envelope.tenantid), "traceparent": envelope.traceparent or ""},
        )
        await self._send(body, None, envelope.type)

    async def _send(self, body: aio_pika.Message, exchange: AbstractExchange | None, key: str) -> None:
        link = self._link
        if link is None:
            raise BrokerUnavailable("not connected")
        try:
            await (exchange or link.exchange).publish(body, key, mandatory=True, timeout=CONFIRM_SECONDS)
        except PublishError as returned:
            raise Unroutable(key) from returned
        except (DeliveryError, AMQPException, OSError, TimeoutError, RuntimeError) as error:
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error

    async def send_task(self, queue: str, task_id: str) -> None:
        """Declare the work queue if need be and put a task's id on it, with confirm."""
        link = self._link
        if link is None:
            raise BrokerUnavailable("not connected")
        try:
            await declare_quorum(link.publishing, queue)
            body = aio_pika.Message(task_id.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await link.publishing.default_exchange.publish(body, queue, mandatory=True, timeout=CONFIRM_SECONDS)
        except (AMQPException, OSError, TimeoutError, RuntimeError) as error:
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error

    async def tasks(self, queue: str) -> AsyncIterator[RabbitTask]:
        """Yield messages of a work queue one at a time, over reconnections."""
        while True:
            await self._up.wait()
            try:
                async for message in self._messages(queue):
                    yield RabbitTask(message.body.decode(), message)
            except (AMQPException, OSError, TimeoutError, RuntimeError) as error:
                log.warning("work queue %s away: %s", queue, error)
            await asyncio.sleep(0.5)

    async def _messages(self, queue: str) -> AsyncIterator[AbstractIncomingMessage]:
        link = self._link
        if link is None:
            return
        channel = await link.connection.channel()
        await channel.set_qos(prefetch_count=1)
        declared = await declare_quorum(channel, queue)
        try:
            async with declared.iterator() as messages:
                async for message in messages:
                    yield message
        finally:
            with suppress(Exception):
                await channel.close()


async def declare_quorum(channel: AbstractChannel, name: str) -> Any:
    """Declare a quorum queue with its dead-letter exchange and queue; the same again changes nothing."""
    dead = dead_letters(name)
    exchange = await channel.declare_exchange(dead, aio_pika.ExchangeType.FANOUT, durable=True)
    graveyard = await channel.declare_queue(dead, durable=True, arguments={"x-queue-type": "quorum"})
    await graveyard.bind(exchange)
    return await channel.declare_queue(
        name,
        durable=True,
        arguments=QUORUM
        | {"x-dead-letter-exchange": dead, "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"},
    )
