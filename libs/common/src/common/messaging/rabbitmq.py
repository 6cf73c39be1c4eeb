"""The broker over RabbitMQ (3.10 to 4.x).

Each service connects as its own user and publishes to its own topic exchange ``events.<service>`` with publisher
confirms and ``mandatory``, so that a fact nobody is bound to is an error. Reconnection is here, not in aio-pika's
robust mode, whose publish hangs while the broker is away (https://github.com/mosquito/aio-pika/issues/632).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPException, ChannelNotFoundEntity, DeliveryError, PublishError

from common.messaging.broker import CONFIRM_SECONDS, PREFETCH, BrokerUnavailable, Hear, Receive, Unroutable
from common.messaging.deliveries import Deliveries
from common.messaging.envelope import Envelope
from common.messaging.listening import Listener
from common.messaging.refusal import Park
from common.messaging.subscriptions import Subscriptions
from common.messaging.topology import (
    TASKS,
    declare_queue,
    declare_work_queue,
    exchange_of,
    heard_queue,
    inbox_queue,
    permissions,
)

__all__ = ["RabbitBroker", "RabbitTask", "permissions"]

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0
"""How long a broker that may be away is waited for to say that something is closed."""
AWAY = (AMQPException, OSError, TimeoutError, RuntimeError)
"""What aio-pika raises when the connection or a channel is gone; RuntimeError is its closed channel."""


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
    """What one connection consists of. It is used as a whole: when any of it breaks, all is made anew."""

    connection: AbstractConnection
    publishing: AbstractChannel
    exchange: AbstractExchange
    consumed: list[tuple[AbstractQueue, str]] = field(default_factory=list)
    work_queues: dict[str, AbstractExchange] = field(default_factory=dict)
    """The exchange by each work queue that was declared over this connection."""
    broken: asyncio.Event = field(default_factory=asyncio.Event)

    async def watched(self, channel: AbstractChannel) -> AbstractChannel:
        """Break when a channel closes (an exchange or queue that went away, an acknowledgement that took too long) or
        the broker cancels its consumer (its queue was deleted): the connection stands then, and nothing comes any more.
        """
        channel.close_callbacks.add(self._break)
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(self._break)
        return channel

    def _break(self, *_: object) -> None:
        self.broken.set()


class RabbitBroker:
    """Broker port over one connection, made again whenever it is lost.

    Args:
        url: ``amqp://user:password@host:port/vhost``; the user is the service's own.
        service: The service's name, which is its broker user's name and its events' ``source``.
    """

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._consumers: list[tuple[Subscriptions, Deliveries]] = []
        self._listeners: list[Listener] = []
        self._link: _Link | None = None
        self._up = asyncio.Event()
        self._consuming = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def subscribe(self, subscriptions: Subscriptions, receive: Receive, park: Park) -> None:
        """Bind a consumer's queue when connected."""
        self._consumers.append((subscriptions, Deliveries(subscriptions.consumer, receive, park)))

    def listen(self, facts: Iterable[tuple[str, str]], hear: Hear, missed: Callable[[], None]) -> None:
        """Bind a queue of this process's own, which ends with the connection."""
        self._listeners.append(Listener(tuple(facts), hear, missed))

    def connected(self) -> bool:
        """Whether the connection stands."""
        return self._up.is_set()

    def healthy(self) -> bool:
        """Whether the connection stands and every queue is bound and consumed."""
        return self.connected() and (self._consuming.is_set() or not (self._consumers or self._listeners))

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
        for queue, tag in self._link.consumed if self._link else ():
            with suppress(*AWAY):
                await queue.cancel(tag)
        await asyncio.gather(*(deliveries.stop() for _, deliveries in self._consumers))
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._drop()

    async def _drop(self) -> None:
        link, self._link = self._link, None
        self._up.clear()
        self._consuming.clear()
        if link is not None:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await link.connection.close()

    async def _keep_connected(self) -> None:
        pause = 0.2
        while True:
            try:
                link = await self._connect()
                pause = 0.2
                await self._consume_until_broken(link)
                log.warning("connection to the broker lost")
            except AWAY as error:
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
        await self._link.watched(publishing)
        self._up.set()
        return self._link

    async def _consume_until_broken(self, link: _Link) -> None:
        broken = asyncio.create_task(link.broken.wait())
        consuming = asyncio.create_task(self._consume(link))
        try:
            await asyncio.wait({broken, consuming}, return_when=asyncio.FIRST_COMPLETED)
            if consuming.done():
                consuming.result()
                await broken
        finally:
            consuming.cancel()
            broken.cancel()
            await asyncio.gather(consuming, broken, return_exceptions=True)

    async def _consume(self, link: _Link) -> None:
        for subscriptions, deliveries in self._consumers:
            channel = await link.watched(await link.connection.channel())
            await channel.set_qos(prefetch_count=PREFETCH)
            queue, dead = await declare_queue(channel, inbox_queue(subscriptions.consumer))
            for subscription in subscriptions.all():
                await self._bind(link, queue.name, subscription.source, subscription.type)
            link.consumed.append((queue, await queue.consume(deliveries.fresh)))
            link.consumed.append((dead, await dead.consume(deliveries.dead)))
        for listener in self._listeners:
            channel = await link.watched(await link.connection.channel())
            heard = await channel.declare_queue(heard_queue(self._service), exclusive=True, auto_delete=True)
            await heard.consume(listener.take, no_ack=True)
            for source, kind in listener.facts:
                await self._bind(link, heard.name, source, kind)
            listener.missed()
        self._consuming.set()

    async def _bind(self, link: _Link, queue: str, source: str, event_type: str) -> None:
        """Bind to another's exchange, which may not be declared yet; a refusal closes the channel, so each has one."""
        while True:
            channel = await link.connection.channel()
            try:
                bound = await channel.get_queue(queue, ensure=False)
                await bound.bind(exchange_of(source), routing_key=event_type)
            except ChannelNotFoundEntity:
                await asyncio.sleep(0.3)
            else:
                return
            finally:
                with suppress(Exception):
                    await channel.close()

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
        link = self._standing()
        try:
            await link.exchange.publish(body, envelope.type, mandatory=True, timeout=CONFIRM_SECONDS)
        except PublishError as returned:
            raise Unroutable(envelope.type) from returned
        except (DeliveryError, *AWAY) as error:
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error

    def _standing(self) -> _Link:
        if self._link is None:
            raise BrokerUnavailable("not connected")
        return self._link

    async def send_task(self, queue: str, task_id: str) -> None:
        """Declare the work queue if need be and put a task's id on it, with confirm."""
        link = self._standing()
        body = aio_pika.Message(task_id.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        try:
            if queue not in link.work_queues:
                await declare_work_queue(link.publishing, queue)
                link.work_queues[queue] = await link.publishing.get_exchange(TASKS, ensure=False)
            await link.work_queues[queue].publish(body, queue, mandatory=True, timeout=CONFIRM_SECONDS)
        except (DeliveryError, *AWAY) as error:
            # A queue that somebody deleted is declared again by the next try.
            link.work_queues.pop(queue, None)
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error

    async def tasks(self, queue: str) -> AsyncIterator[RabbitTask]:
        """Yield messages of a work queue, over reconnections; none is kept back while the one before is worked on."""
        while True:
            await self._up.wait()
            try:
                async for message in self._messages(queue):
                    yield RabbitTask(message.body.decode(), message)
            except AWAY as error:
                log.warning("work queue %s away: %s", queue, error)
            await asyncio.sleep(0.5)

    async def _messages(self, queue: str) -> AsyncIterator[AbstractIncomingMessage]:
        link = self._link
        if link is None:
            return
        channel = await link.connection.channel()
        await channel.set_qos(prefetch_count=1)
        declared = await declare_work_queue(channel, queue)
        came: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()

        def gone(*_: object) -> None:
            came.put_nowait(None)

        channel.close_callbacks.add(gone)
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(gone)
        try:
            while True:
                # Who works on a message consumes no more: the next one is for somebody who is free.
                consumer = await declared.consume(came.put)
                message = await came.get()
                if message is None:
                    return
                await declared.cancel(consumer)
                yield message
        finally:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await channel.close()
