"""One process's ear to RabbitMQ: facts as they pass, for caches, without an inbox."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from aio_pika.abc import AbstractIncomingMessage

from common.messaging.broker import Hear
from common.messaging.refusal import Delivery, Refused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """What is heard and who is told; see `Broker.listen`."""

    facts: tuple[tuple[str, str], ...]
    hear: Hear
    missed: Callable[[], None]

    async def take(self, message: AbstractIncomingMessage) -> None:
        """Tell of one fact; what is none, or forged, is passed over."""
        try:
            envelope = Delivery(message.body, message.user_id, message.exchange).envelope()
        except Refused as refused:
            log.error("heard and refused: %s (from user %s)", refused, message.user_id)  # noqa: TRY400
            return
        if (envelope.source, envelope.type) in self.facts:
            self.hear(envelope)
